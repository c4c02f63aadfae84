"""What `kintsugi import` makes of pages: each step is compared with what was written down before, and every document loads."""

import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from kintsugi.catalog import Source, load_sources
from kintsugi_import.command import Imported, import_page, summary
from kintsugi_import.reading import Handling
from tests.unit.project.tree import ROOT

PAGES = Path(__file__).parent / "pages"
SERVICES = [path for path in (ROOT / "rules").glob("*.yaml") if path.stem != "any-service"]


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.stem)
def test_a_page_becomes_the_steps_that_were_written_down_before(page: Path, tmp_path: Path) -> None:
    for path in SERVICES if page.stem == "service-recovery.ja" else ():
        shutil.copy(path, tmp_path)
    imported = import_page(page, tmp_path)
    said = [line for each in imported for line in outline(each)]
    assert said == page.with_suffix(".txt").read_text().splitlines()
    assert [problem for each in imported for problem in each.problems] == [], (
        "the folder's documents and these do not load together"
    )
    changes = [step for each in imported for step in steps_of(each) if step["word"] == "ask"]
    assert [step["id"] for step in changes if "approve" not in step] == [], "a change without a question"


def outline(imported: Imported) -> Iterator[str]:
    """Describe a document in lines: its values, steps in order, and the commands that were left out, at the end."""
    procedure = imported.procedure
    if not imported.text:
        yield f"nothing {procedure.name}: {procedure.title}"
        return
    spec, *rules = [each["spec"] for each in YAML(typ="safe").load_all(imported.text)]
    yield f"runbook {procedure.name}: {spec['title']}"
    for name, value in spec.get("parameters", {}).items():
        given = "".join(f", {key} {value[key]}" for key in ("from", "default") if key in value)
        yield f"value {name}: {value['type']}{given}"
    yield from (_line(step, imported) for step in _flat(spec["steps"], imported))
    if "rollback" in spec:
        yield f"rollback after {spec['rollback'].get('after', '')}"
        yield from (_line(step, imported) for step in _flat(spec["rollback"].get("steps", []), imported))
    yield from (f"rule {', '.join(rule['matchers'])}, {rule['mode']}" for rule in rules)
    yield from (
        f"left out {' '.join(each.text.split())}"
        for each in procedure.commands
        if each.handling is Handling.LEFT_OUT and each.reason and "variable" not in each.reason
    )


def steps_of(imported: Imported) -> list[dict[str, Any]]:
    """Return the steps of a document, those of its groups and of its rollback, too."""
    if not imported.text:
        return []
    spec = next(iter(YAML(typ="safe").load_all(imported.text)))["spec"]
    return [*_flat(spec["steps"], imported), *_flat(spec.get("rollback", {}).get("steps", []), imported)]


def _flat(steps: list[dict[str, Any]], imported: Imported) -> Iterator[dict[str, Any]]:
    drafts = {step.id: step for step in imported.procedure.steps}
    for step in steps:
        if "steps" in step:
            if "approve" in step:
                yield {**step, "word": "group"}
            yield from _flat(step["steps"], imported)
            continue
        reading = drafts[step["id"]].reading if step["id"] in drafts else None
        word = (
            "person"
            if "manual" in step
            else "runs"
            if "runbook" in step
            else "find"
            if step["name"].startswith("Find: ")
            else "look"
        )
        yield {**step, "word": "ask" if reading is not None and reading.changes else word}


def _line(step: dict[str, Any], imported: Imported) -> str:
    word, name = step["word"], step["name"].removeprefix("Find: ")
    if word == "group":
        return f"group {name}, asks {step['approve']['question']}"
    if word == "runs":
        on = f", on {step['service']}" if "service" in step else ""
        asks = f", asks {step['approve']['question']}" if "approve" in step else ""
        return f"runs {name}: {step['runbook']}{on}{asks}"
    if word == "person":
        text = "; ".join(step["manual"]["text"].split("\n"))
        command = "; ".join(step["manual"].get("command", "").split("\n"))
        return f"person {text}{f': {command}' if command else ''}"
    each = f", for each {step['forEach']}" if "forEach" in step else ""
    expect = f", expect {step['expect']}" if "expect" in step else ""
    drafts = {draft.id: draft for draft in imported.procedure.steps}
    reading = drafts[step["id"]].reading if step["id"] in drafts else None
    notes = "".join(f", {note}" for note in (reading.notes if reading is not None else ()))
    return f"{word} {name}{each}: {step['run']}{expect}{notes}"


def test_the_example_of_the_documentation_is_what_the_import_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    page, document, said = documented("## An example")[:3]
    Path("checkout.md").write_text(page)
    [imported] = import_page(Path("checkout.md"))
    assert (imported.text, "\n".join(summary(imported))) == (document, said.rstrip("\n"))


def test_the_three_runbooks_of_the_documentation_are_what_the_import_makes_of_the_page_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    services = tmp_path / "runbooks"
    services.mkdir()
    for path in SERVICES:
        shutil.copy(path, services)
    page, said, *documents = documented("## A page of three procedures")
    assert page == (PAGES / "service-recovery.ja.md").read_text()
    Path("service-recovery.ja.md").write_text(page)
    imported = import_page(Path("service-recovery.ja.md"), Path("runbooks"))
    assert [each.text for each in imported] == documents
    assert [line for each in imported for line in summary(each)] == said.splitlines()


SHELL_BLOCK = "```sh\n{}\n```\n"


@pytest.mark.parametrize(("services", "runbook"), [(SERVICES, "database-restore"), ((), "")])
def test_each_section_about_a_restore_runs_the_shipped_runbook_where_a_service_can_be_restored_by_it(
    services: Sequence[Path], runbook: str, tmp_path: Path
) -> None:
    (folder := tmp_path / "services").mkdir()
    for path in services:
        shutil.copy(path, folder)
    page = tmp_path / "disaster.md"
    page.write_text(
        "# Disaster\nBackups: s3://backups/db/\n"
         "## Restore\n" + SHELL_BLOCK.format("kubectl get pods\npg_restore --list dump")
        + "".join(f"## {each}\n" + SHELL_BLOCK.format("pg_restore -d app dump") for each in ("Orders", "Users"))
    )  # fmt: skip
    [imported] = import_page(page, folder)
    assert [step.runbook for step in imported.procedure.steps] == ["", "", runbook, runbook]
    assert not imported.problems


@pytest.mark.parametrize("odd", ["\x90", "\x07", "\x7f", "\x85", "\u2028", "\ufffe"])
def test_a_character_that_yaml_cannot_have_is_replaced(odd: str, tmp_path: Path) -> None:
    page = tmp_path / "odd.md"
    page.write_text(
        f"# A{odd}b\nSay{odd} this.\n\nThen{odd} do:\n" + SHELL_BLOCK.format(f"aws s3 ls  # a{odd}b\naws x{odd}")
    )
    [imported] = import_page(page)
    load_sources([Source(name="page.yaml", content=imported.text.encode())])
    assert "aws x\N{REPLACEMENT CHARACTER}" in imported.text


def documented(heading: str) -> list[str]:
    """Return the blocks of code below a heading of the documentation."""
    below = (ROOT / "docs" / "import.md").read_text().partition(f"{heading}\n")[2]
    return re.findall(r"^```(?:markdown|yaml|)\n(.*?)^```$", below, re.MULTILINE | re.DOTALL)
