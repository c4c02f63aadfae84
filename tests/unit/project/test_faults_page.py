"""The tables of docs/faults.md can be read by a test, and hold together: causes, ends, near misses, files."""

import re

import yaml

from tests.cluster import test_faults
from tests.faults import page
from tests.faults.moves import MOVES
from tests.faults.not_run import NOT_RUN
from tests.faults.page import NONE
from tests.unit.project.tree import DIAGNOSIS, ROOT

PARCELS = re.compile(r"\b(?:parcels?|reception|consignments|depot|pricing|scanner|stamps)\b", re.IGNORECASE)
PRODUCT = [ROOT / "daemon" / "kintsugi", DIAGNOSIS, ROOT / "rules", ROOT / "runbooks"]


def test_each_row_has_an_id_of_its_own_and_is_written_in_the_words_that_the_page_defines() -> None:
    """Cause, object and field; how sure it is; the end; and a near miss that is a row. A result is found by its id."""
    rows = page.rows()
    ids = {row.id for row in rows}
    assert 40 <= len(rows) == len(ids)
    assert {row.cause for row in rows} <= {*page.causes(), NONE}
    assert [row.id for row in rows if not (row.field and re.fullmatch(r"-|[a-z]+/[\w.-]+", row.object))] == []
    assert {row.confidence for row in rows} <= {"certain", "likely", NONE}
    assert {re.split("[,;]", row.end)[0] for row in rows} <= set(page.ends())
    assert [row.id for row in rows if row.near_miss not in ids - {row.id}] == []


def test_each_cause_comes_first_in_its_table_and_has_a_near_miss_of_another_cause() -> None:
    """Whoever always answers with the same cause for a symptom is found out."""
    by_id = {row.id: row for row in page.rows()}
    pairs = [{row.cause, by_id[row.near_miss].cause} for row in page.rows()]
    for cause in page.causes():
        assert next(row for row in page.rows() if row.table == cause).cause == cause
        assert any(cause in pair and len(pair) == 2 for pair in pairs), cause


def test_each_file_that_a_command_names_is_shown_or_said_to_be_made_by_the_tests() -> None:
    """A command can be typed."""
    files = page.files()
    named = set(re.findall(r"(?:--patch-file=|-f )([\w.-]+)", page.text()))
    assert [name for name in named if f"`{name}`" not in page.section("Files")] == []
    assert [name for name in files if name not in named] == []
    assert all(yaml.safe_load(text) for text in files.values())


def test_no_name_of_the_application_of_strangers_occurs_in_the_product() -> None:
    """What is found there is found because of what it is."""
    files = [file for folder in PRODUCT for file in folder.rglob("*") if file.suffix in {".py", ".yaml"}]
    assert [str(file.relative_to(ROOT)) for file in files if PARCELS.search(file.read_text())] == []


def test_a_row_is_run_by_moves_that_there_are_or_is_named_with_the_reason_why_it_is_not() -> None:
    """Nothing is left out in silence, and a move that is not known fails here, and not after minutes."""
    ids = [*(row.id for row in (*page.rows(), *page.controls())), *page.several()]
    assert sorted([*test_faults.RUN, *test_faults.CONTROLS, *test_faults.SEVERAL, *NOT_RUN]) == sorted(ids)
    assert all(NOT_RUN.values())
    run = [page.row(each) for each in test_faults.RUN]
    assert {page.row(each).cause for each in test_faults.FIRST} == {row.cause for row in run if row.cause == row.table}
    moved = [*run, *map(page.row, test_faults.CONTROLS)]
    assert {row.id: row.moves - MOVES.keys() for row in moved if row.moves - MOVES.keys()} == {}


def test_the_figures_of_the_readme_are_the_last_result() -> None:
    counted = r"of (\d+) rows that were run the cause of (\d+) is right; a wrong cause was called certain in (\d+)"
    causes = re.search(counted, page.section("Causes that were named"))
    ends = re.search(r"checked for (\d+) rows, and is right for (\d+)", page.section("Ends that were checked"))
    assert causes is not None
    assert ends is not None
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert "Of {} rows, the cause was right in {}. In {}, another cause".format(*causes.groups()) in readme
    assert "The end was checked for {} rows, and was right for {}.".format(*ends.groups()) in readme
