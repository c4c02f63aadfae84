"""How the rows ended whose ends were checked: kept beside the virtual environment, for the last section of docs/faults.md."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.faults import page
from tests.faults.ends import HEALED, Ending
from tests.harness.parts import locked

RESTARTS = frozenset({"delete pods", "create pods/eviction"})
HEADING = "Ends that were checked"
KEPT = Path(__file__).parents[2] / ".venv" / "ends-of-faults.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class EndResult:
    """What came of one row: how its incidents ended, what was written, what is wrong, and the day."""

    id: str
    ended: str
    wrote: str
    problems: tuple[str, ...]
    day: str

    @classmethod
    def of(cls, id_: str, *endings: Ending) -> "EndResult":
        """Return as it is kept how a row ended, or several at a time, and what was healed for them."""
        wrote = [" ".join(each) for ending in endings for each in ending.writes]
        return cls(
            id=id_,
            ended="; ".join(_ended(each) for each in endings),
            wrote=", ".join(wrote) or "nothing",
            problems=tuple(problem for each in endings for problem in each.problems),
            day=f"{datetime.now(UTC):%Y-%m-%d}",
        )

    @classmethod
    def of_nothing(cls, id_: str, states: Sequence[str], verbs: Sequence[str]) -> "EndResult":
        """Return as it is kept what came of a row that makes no fault: whatever was said or written is wrong."""
        said = [*(f"an incident is {each}" for each in states), *(f"wrote {each}" for each in verbs)]
        return cls(
            id=id_,
            ended=", ".join(states) or "no incident",
            wrote=", ".join(verbs) or "nothing",
            problems=tuple(said),
            day=f"{datetime.now(UTC):%Y-%m-%d}",
        )


def _ended(ending: Ending) -> str:
    return ", ".join(dict.fromkeys(each["state"] for each in ending.incidents)) or "no incident"


def keep(result: EndResult) -> None:
    """Keep how a row ended; those of earlier runs stay until it is run again."""
    with locked(KEPT.with_suffix(".lock")):
        found = {**kept(), result.id: result}
        KEPT.write_text(json.dumps([asdict(each) for each in found.values()], indent=1))


def kept() -> Mapping[str, EndResult]:
    """Return those of all runs."""
    every = json.loads(KEPT.read_text()) if KEPT.exists() else []
    return {each["id"]: EndResult(**{**each, "problems": tuple(each["problems"])}) for each in every}


def table(results: Mapping[str, EndResult]) -> str:
    """Return results in the order of the page, with the figures before them."""
    expected = {each.id: each.end for each in (*page.rows(), *page.controls())}
    expected |= {id_: "; ".join(expected[each] for each in ids) for id_, ids in page.several().items()}
    found = [results[each] for each in expected if each in results]
    right = sum(not each.problems for each in found)
    needless = sum(
        write in RESTARTS
        for each in found
        if not expected[each.id].startswith(HEALED)
        for write in each.wrote.split(", ")
    )
    head = (
        f"The end was checked for {len(found)} rows, and is right for {right}. "
        f"Pods that were restarted in rows that no restart heals: {needless}.\n\n"
        "| id | expected | ended | wrote | right | day |\n|---|---|---|---|---|---|\n"
    )
    lines = (
        f"| {each.id} | {expected[each.id]} | {each.ended} | {each.wrote} | {'; '.join(each.problems) or 'yes'} | {each.day} |\n"
        for each in found
    )
    return head + "".join(lines)


def of_page() -> Mapping[str, EndResult]:
    """Return the results that the page has."""
    return {
        id_: EndResult(
            id=id_, ended=ended, wrote=wrote, problems=() if right == "yes" else tuple(right.split("; ")), day=day
        )
        for id_, _, ended, wrote, right, day in page.cells(HEADING)
    }
