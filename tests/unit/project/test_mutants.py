"""`make mutants` finds the tests of a module, and changes nothing but a copy."""

from pathlib import Path

import pytest

from tests.mutants.__main__ import folders_of, main, prepare
from tests.sabotage.trees import CODE, ROOT

DIAGNOSIS = Path("daemon", "kubediagnosis", "kubediagnosis")


@pytest.mark.parametrize(
    ("module", "folders"),
    [
        (CODE / "decisions" / "guards.py", ["tests/unit/guards"]),
        (CODE / "ledger" / "outbox.py", ["tests/unit/ledger", "tests/contract/ledger"]),
        (CODE / "executor.py", ["tests/unit/executor"]),
        (CODE / "cancellation.py", []),
    ],
)
def test_a_module_has_the_tests_of_its_name_or_its_package_or_of_those_that_import_it(
    module: Path, folders: list[str]
) -> None:
    assert folders_of(module) == folders


@pytest.mark.parametrize("word", ["", "daemon/kintsugi/none.py", "tests/conftest.py"])
def test_a_module_that_cannot_be_tried_is_told_with_the_words_to_write(
    word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word] if word else []) == 2
    assert "as MODULE=" in capsys.readouterr().err


def test_a_copy_is_changed_and_not_the_tree(tmp_path: Path) -> None:
    module = CODE / "decisions" / "guards.py"
    prepare(tmp_path, module, ["tests/unit/guards"])
    changed = tmp_path / "mutants" / "src" / "kintsugi" / "decisions" / "guards.py"
    for copy in (changed, tmp_path / "src" / "kintsugi" / "decisions" / "guards.py"):
        assert copy.read_text() == (ROOT / module).read_text()
        assert copy.resolve().is_relative_to(tmp_path.resolve())
    assert "only_mutate=src/kintsugi/decisions/guards.py\n" in (tmp_path / "setup.cfg").read_text()
