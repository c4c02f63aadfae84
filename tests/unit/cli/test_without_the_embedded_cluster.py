"""`kintsugi demo` where the extra `demo` is not installed."""

import sys

import pytest

from kintsugi.cli import main
from kintsugi.cli.exit_codes import ExitCode


@pytest.fixture(autouse=True)
def _no_kubesim(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kubesim", None)


def test_the_command_line_says_in_one_line_what_to_install(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["demo"])
    assert left.value.code == ExitCode.FINDINGS
    [line] = capsys.readouterr().err.splitlines()
    assert "the embedded cluster is not installed: pip install 'kintsugi-daemon[demo]'" in line


def test_the_scenes_are_listed_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["demo", "--list"])
    assert left.value.code == ExitCode.DONE
    assert "crash-loop" in capsys.readouterr().out
