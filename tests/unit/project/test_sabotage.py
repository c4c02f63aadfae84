"""Each sabotage still fits the code, its entry says where it was seen red, and only an assertion counts."""

import ast
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.sabotage.__main__ import part, revision
from tests.sabotage.catalogue import ALL
from tests.sabotage.outcomes import is_assertion
from tests.sabotage.sabotage import Edit, Outcome, Sabotage, objections
from tests.sabotage.trees import CODE, ROOT, SabotageError, replaced, rounds
from tests.sabotage.verdicts import noted
from tests.sabotage.weaknesses import NO_BEHAVIOUR, Weakness
from tests.unit.project import coverage

FILE, TEST = "unit/test_one.py", "test_that_it_is_so"
NAME = f"{FILE}::{TEST}"
ONE = Sabotage(
    takes_out="that it is so", edits=(Edit(file="one.py", old="yes", new="no"),), tests=FILE, red=(TEST,), shows=("P1",)
)
each_sabotage = pytest.mark.parametrize("sabotage", ALL, ids=lambda each: each.takes_out)


@each_sabotage
def test_a_sabotage_fits_the_code_as_it_is(sabotage: Sabotage) -> None:
    """Its old text stands there once, and with the new one the file is Python still."""
    for edit in sabotage.edits:
        before = (ROOT / CODE / edit.file).read_text()
        after = replaced(before, edit)
        assert ast.dump(ast.parse(after)) != ast.dump(ast.parse(before))
        assert abs(edit.new.count("\n") - edit.old.count("\n")) <= 8, "a sabotage is a few lines"


@each_sabotage
def test_a_sabotage_names_tests_that_are_there(sabotage: Sabotage) -> None:
    tree = ast.parse((ROOT / "tests" / sabotage.tests).read_text())
    there = {getattr(node, "name", "") for node in tree.body}
    assert sabotage.red
    assert [name for name in sabotage.red if name not in there] == []


def test_each_behaviour_is_taken_out_once_and_in_one_line() -> None:
    assert [name for name, times in Counter(each.takes_out for each in ALL).items() if times > 1] == []
    assert [each.takes_out for each in ALL if re.search(r"[\"\n]", each.takes_out)] == []


def test_every_promise_has_a_sabotage_and_every_number_a_row() -> None:
    shown = {number for each in ALL for number in each.shows}
    known = coverage.rows(coverage.PAGE.read_text())
    assert [number for number in known if number.startswith("P") and number not in shown] == []
    assert shown - set(known) == set()


def test_every_weakness_is_brought_back_by_a_sabotage_or_it_is_said_why_none_can() -> None:
    brought_back = {weakness for each in ALL for weakness in each.against}
    assert [each.name for each in Weakness if (each in brought_back) is (each in NO_BEHAVIOUR)] == []
    assert [each.name for each, why in NO_BEHAVIOUR.items() if not why] == []


def test_all_parts_of_the_sabotages_are_all_of_them_and_each_is_tried_once() -> None:
    parts = [part(ALL, f"{number}/5") for number in range(1, 6)]
    assert sorted(each.takes_out for some in parts for each in some) == sorted(each.takes_out for each in ALL)
    assert part(ALL, "1/1") == ALL


@pytest.mark.parametrize("which", ["", "2", "0/5", "6/5", "1/0", "-1/5", "a/b"])
def test_a_part_that_there_is_not_is_refused(which: str) -> None:
    with pytest.raises(ValueError, match="write NUMBER/PARTS"):
        part(ALL, which)


def test_each_sabotage_was_seen_red_at_a_revision() -> None:
    """`make sabotage` writes it; that of a tree with changes is none."""
    unseen = [each.takes_out for each in ALL if not re.fullmatch(r"[0-9a-f]{7,40}", each.red_at)]
    assert unseen == [], "no result: run `make sabotage`"


@pytest.mark.parametrize("text", ["", "yes yes"])
def test_a_text_that_does_not_stand_there_once_is_not_replaced(text: str) -> None:
    with pytest.raises(SabotageError, match="one\\.py"):
        replaced(text, ONE.edits[0])


def test_sabotages_that_can_be_done_together_are_typed_together() -> None:
    """Each of them once; those that want the same place are apart."""
    shared = rounds(ALL)
    assert Counter(each.takes_out for together in shared for each in together) == Counter(
        each.takes_out for each in ALL
    )
    assert len(shared) < len(ALL) / 5
    assert rounds([ALL[0], ALL[1], ALL[0]]) == [[ALL[0], ALL[1]], [ALL[0]]]


@pytest.mark.parametrize(
    ("outcomes", "wrong"),
    [
        ({NAME: Outcome.ASSERTED, "unit/test_one.py::test_other": Outcome.PASSED}, ""),
        ({f"{NAME}[a]": Outcome.ASSERTED, f"{NAME}[b]": Outcome.ASSERTED}, ""),
        ({f"{NAME}[a]": Outcome.ASSERTED, f"{NAME}[b]": Outcome.SKIPPED}, ""),
        ({f"{NAME}[a]": Outcome.ASSERTED, f"{NAME}[b]": Outcome.PASSED}, ""),
        ({f"{NAME}[a]": Outcome.ASSERTED, f"{NAME}[b]": Outcome.BROKEN}, r"\[b\] failed otherwise"),
        ({NAME: Outcome.PASSED}, "passed"),
        ({NAME: Outcome.BROKEN}, "broke"),
        ({NAME: Outcome.SKIPPED}, "was not run"),
        ({}, "was not run"),
        ({NAME: Outcome.ASSERTED, f"{NAME}_too": Outcome.ASSERTED}, "is not named"),
        ({NAME: Outcome.ASSERTED, f"{NAME}_too": Outcome.BROKEN}, "is not named"),
    ],
)
def test_red_are_the_named_tests_and_no_others(outcomes: dict[str, Outcome], wrong: str) -> None:
    found = objections(ONE, outcomes)
    assert bool(found) == bool(wrong)
    assert re.search(wrong, "\n".join(found))


def test_only_an_assertion_is_red() -> None:
    """A test that could not even begin, or took too long, says nothing about the behaviour."""
    with pytest.raises(pytest.fail.Exception) as silent, pytest.raises(ValueError, match="x"):
        pass
    with pytest.raises(pytest.fail.Exception) as late:
        pytest.fail("Timeout >120.0s")
    assert is_assertion(AssertionError("no"))
    assert is_assertion(silent.value)
    assert is_assertion(ExceptionGroup("both", [AssertionError("no"), ExceptionGroup("in", [AssertionError("no")])]))
    assert not is_assertion(late.value)
    assert not is_assertion(RuntimeError("no"))
    assert not is_assertion(ExceptionGroup("both", [AssertionError("no"), RuntimeError("no")]))


def test_a_run_that_was_ended_goes_on_at_its_revision_although_it_has_noted_verdicts(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@x", *words], cwd=tmp_path, check=True)

    entry, code = tmp_path / "tests/sabotage/catalogue/one.py", tmp_path / "daemon/one.py"
    for file in (entry, code):
        file.parent.mkdir(parents=True)
        file.write_text("before\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "x")
    at = revision(tmp_path)

    entry.write_text("after\n")
    assert revision(tmp_path) == at
    code.write_text("after\n")
    assert revision(tmp_path) == f"{at}-dirty"


def test_a_revision_is_noted_in_the_entry_of_its_sabotage_and_in_no_other() -> None:
    source = """
    Sabotage(
        takes_out="that it is so (or not)",
        edits=(),
    ),
    Sabotage(
        takes_out="that it stays",
        red_at="abc1234",
        edits=(),
    ),
"""
    noted_once = noted(source, "that it is so (or not)", "def5678")
    assert noted_once.count('        red_at="def5678",\n') == 1
    assert noted_once.index("def5678") < noted_once.index("that it stays")
    assert noted(noted_once, "that it is so (or not)", "") == source
    later = noted(source, "that it stays", "def5678")
    assert later == source.replace("abc1234", "def5678")
