"""
What came of the rows: printed at the end of a run, kept beside the virtual environment, and written into docs/faults.md.

`python -m tests.faults.results` writes the last section of the page anew: what was kept, and for each other row what the page had.
No one writes it by hand.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from kubediagnosis.causes import Cause
from tests.faults import end_results, page
from tests.faults.judge import FALSELY_CERTAIN, Judgement
from tests.faults.not_run import NOT_RUN
from tests.harness.parts import locked

KEPT = Path(__file__).parents[2] / ".venv" / "faults.json"
_HEADING = "## Last result\n"
_CAUSES = "Causes that were named"


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """
    What came of one row, or of several at a time: the causes that were named first, how sure, and what is wrong.

    `day` is when, `revision` what was tried.
    """

    id: str
    named: str
    confidence: str
    problems: tuple[str, ...]
    falsely_certain: bool
    day: str
    revision: str = ""

    @classmethod
    def of(cls, id_: str, *judgements: Judgement) -> "Result":
        """Return judgements as they are kept."""
        return cls(
            id=id_,
            named=", ".join(map(_named, judgements)),
            confidence=", ".join(map(_confidence, judgements)),
            problems=tuple(problem for each in judgements for problem in each.problems),
            falsely_certain=any(each.falsely_certain for each in judgements),
            day=f"{datetime.now(UTC):%Y-%m-%d}",
            revision=revision(),
        )


def _first(judgement: Judgement) -> Cause | None:
    return next(iter(judgement.last.causes), None) if judgement.last is not None else None


def _named(judgement: Judgement) -> str:
    return " ".join(f"`{each}`" for each in judgement.found if each) if _first(judgement) is not None else "`-`"


def _confidence(judgement: Judgement) -> str:
    first = _first(judgement)
    return first.confidence if first is not None else "`-`"


@cache
def revision() -> str:
    """Return the revision of the tree that is tried, "" outside a repository."""
    command = ["git", "rev-parse", "--short=8", "HEAD"]
    done = subprocess.run(command, cwd=page.FILE.parent, capture_output=True, text=True, check=False)
    return done.stdout.strip()


class Results:
    """Results by the rows' ids; those of earlier runs stay until a row is run again."""

    def __init__(self) -> None:
        self._found: dict[str, Result] = {}

    def add(self, id_: str, *judgements: Judgement) -> None:
        """Write down what came of a row, or of several at a time, and keep it."""
        result = Result.of(id_, *judgements)
        self._found[result.id] = result
        with locked(KEPT.with_suffix(".lock")):
            kept = {**self.kept(), result.id: result}
            KEPT.write_text(json.dumps([asdict(each) for each in kept.values()], indent=1))

    def table(self) -> str:
        """Return those of this run as a table."""
        return table(self._found)

    @staticmethod
    def kept() -> Mapping[str, Result]:
        """Return those of all runs."""
        if not KEPT.exists():
            return {}
        every = json.loads(KEPT.read_text())
        found = [Result(**{**each, "problems": tuple(each["problems"])}) for each in every]
        return {each.id: each for each in found}


def _ids() -> tuple[str, ...]:
    return (*(each.id for each in (*page.rows(), *page.controls())), *page.several())


def table(results: Mapping[str, Result]) -> str:
    """Return results in the order of the page, with the figures before them."""
    found = [results[each] for each in _ids() if each in results]
    if not found:
        return "No row has been run.\n"
    right, false = sum(not each.problems for each in found), sum(each.falsely_certain for each in found)
    days = sorted({each.day for each in found})
    head = (
        f"{' to '.join(dict.fromkeys((days[0], days[-1])))}: of {len(found)} rows that were run the cause of {right} is right; "
        f"a wrong cause was called certain in {false}. The last column is the revision that was tried, `-` where it was not written down.\n\n"
        "| id | named | confidence | right | day | at |\n|---|---|---|---|---|---|\n"
    )
    lines = (
        f"| {each.id} | {each.named} | {each.confidence} | {'; '.join(each.problems) or 'yes'} | {each.day} | {each.revision or '-'} |\n"
        for each in found
    )
    return head + "".join(lines)


def of_page() -> Mapping[str, Result]:
    """Return the results that the page has."""
    return {
        id_: Result(
            id=id_,
            named=named,
            confidence=confidence,
            problems=() if right == "yes" else tuple(right.split("; ")),
            falsely_certain=FALSELY_CERTAIN in right,
            day=day,
            revision=at.strip("-"),
        )
        for id_, named, confidence, right, day, at in page.cells(_CAUSES)
    }


def not_run() -> str:
    """Return the rows that are not run, with their reasons."""
    lines = (f"| {each} | {NOT_RUN[each]} |\n" for each in _ids() if each in NOT_RUN)
    return f"{len(NOT_RUN)} rows are not run:\n\n| id | why |\n|---|---|\n{''.join(lines)}"


def main() -> int:
    """Write the last section of docs/faults.md."""
    before, heading, _ = page.text().partition(_HEADING)
    if not heading:
        print(f"{page.FILE}: there is no section {_HEADING.strip()}", file=sys.stderr)
        return 1
    causes = {id_: each for id_, each in {**of_page(), **Results.kept()}.items() if id_ not in NOT_RUN}
    ends = {**end_results.of_page(), **end_results.kept()}
    judged = (
        "`diagnose` on the spot shows the cause and the confidence (1 and 2 of *How a row is judged*). A daemon that may act shows the"
        "\nend, the writes and the recovery (3, 4 and 6). Only the rows of the second table have these results."
    )
    named = f"### {_CAUSES}\n\n{table(causes)}"
    ended = f"### {end_results.HEADING}\n\n{end_results.table(ends)}"
    left_out = f"### Rows that are not run\n\n{not_run()}"
    page.FILE.write_text(f"{before}{_HEADING}\n{judged}\n\n{named}\n{ended}\n{left_out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
