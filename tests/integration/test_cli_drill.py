"""`kintsugi restore drill`: begun, followed, reported; the exit code says how it ended."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kintsugi.model.records import IncidentState, RunKind, StepRecord, StepState
from kintsugi.server.operations import IncidentDetail, RunDetail
from tests.integration.cli_daemon import MENDED, RUN, CommandLine, Night, at, daemon

BACKUP = {
    "url": "s3://backup-bucket/database/monday.dump",
    "file": "/backups/a.dump",
    "key": "database/monday.dump",
    "size": 2_000_000,
    "taken": {"@time": at(-18_000).isoformat()},
    "sha256": "0" * 64,
    "proven": True,
    "database": "app",
    "server_major": 16,
    "skipped": [{"url": "s3://backup-bucket/database/tuesday.dump", "reason": "it is cut off"}],
}
RESTORED = {
    "database": "kintsugi_drill_inc-3",
    "bytes": 2_000_000,
    "seconds": 3.0,
    "tables": [{"name": "public.orders", "rows": 1000}],
}
LEFT_OUT = "Every pod runs"


def step(path: str, name: str, *, met: bool = True, error: str = "", **result: object) -> StepRecord:
    """Make the record of a step that is over."""
    return StepRecord(
        run="run-3",
        path=path,
        name=name,
        state=StepState.DONE,
        started=at(1),
        finished=at(31),
        met=met,
        error=error,
        result=result,
    )


def detail(state: IncidentState, reason: str, *, held: bool = True) -> IncidentDetail:
    """Make a drill that is over, or goes on."""
    closed = at(90) if state.is_final else None
    incident = replace(
        MENDED, id="inc-3", service="database", runbook="database-drill", rule="drill", kind=RunKind.DRILL
    )
    incident = replace(incident, state=state, reason=reason, opened=at(0), closed=closed)
    run = replace(RUN, id="run-3", incident="inc-3", service="database", runbook="database-drill", kind=RunKind.DRILL)
    run = replace(run, state=state, reason=reason, started=at(0), finished=closed)
    steps = (
        step("@left-out", "Checks that say nothing about a backup", checks=[LEFT_OUT]),
        step("newest", "Fetch", backup=BACKUP, notes=["the room is small"]),
        step("restore", "Restore", restored=RESTORED),
        step("verify/orders", "Orders are there", met=held, error="" if held else "not met: value > 0"),
        step("verify", "Ask it", met=held),
        step("@outcome", "How the drill ended", state=str(state), reason=reason),
    )
    return IncidentDetail(incident=incident, runs=(RunDetail(run=run, steps=steps),))


GOES_ON = detail(IncidentState.RUNNING, "asked for by ana")


@pytest.fixture
def night() -> Night:
    return Night()


@pytest.fixture
def kintsugi(tmp_path: Path, night: Night, capsys: pytest.CaptureFixture[str]) -> Iterator[CommandLine]:
    with daemon(tmp_path, night) as served:
        yield CommandLine(served, capsys)


def test_a_drill_is_followed_to_its_report(kintsugi: CommandLine, night: Night) -> None:
    night.looks = [GOES_ON, GOES_ON, detail(IncidentState.PASSED, "monday.dump is good")]
    ended = kintsugi("restore", "drill", "database", "--every", "0.05")
    assert ended.code == 0, ended
    assert night.asked == [("drill", "database", "ana")]
    report = ended.out.partition("Report\n")[2]
    for words in (
        "passed: monday.dump is good",
        "The drill took 31s (Fetch 30s, Restore 30s, Ask it 30s). A real restore takes at least as long.",
        "s3://backup-bucket/database/monday.dump",
        "5h00m before the drill; 2,000,000 bytes",
        "its recorded checksum matches",
        "skipped s3://backup-bucket/database/tuesday.dump: it is cut off",
        "public.orders  1,000 rows",
        "passed  Orders are there (30s)",
        f"not run  {LEFT_OUT}",
        "the room is small",
    ):
        assert words in report, report


def test_a_drill_that_does_not_pass_is_a_finding(kintsugi: CommandLine, night: Night) -> None:
    night.looks = [
        detail(IncidentState.FAILED, "the drill did not pass: verify/orders: not met: value > 0", held=False)
    ]
    ended = kintsugi("restore", "drill", "database", "--every", "0.05")
    assert ended.code == 1
    assert "failed  Orders are there (30s): not met: value > 0" in ended.out


def test_programs_get_the_report_as_json(kintsugi: CommandLine, night: Night) -> None:
    night.looks = [GOES_ON, detail(IncidentState.PASSED, "monday.dump is good")]
    ended = kintsugi("restore", "drill", "database", "--every", "0.05", "-o", "json")
    report = json.loads(ended.out)
    assert (ended.code, report["state"], report["seconds"]) == (0, "passed", 31.0)
    assert report["restored"]["tables"] == [{"name": "public.orders", "rows": 1000}]
    assert report["backup"]["skipped"][0]["reason"] == "it is cut off"
    assert report["left_out"] == [LEFT_OUT]


def test_a_drill_that_is_not_waited_for_is_only_begun(kintsugi: CommandLine, night: Night) -> None:
    ended = kintsugi("restore", "drill", "database", "--no-wait")
    assert (ended.code, ended.out) == (
        0,
        "Started: database-drill of database. To follow it: kintsugi incident inc-3 --follow\n",
    )


def test_a_refusal_says_why(kintsugi: CommandLine) -> None:
    ended = kintsugi("restore", "drill", "web")
    assert (ended.code, ended.out) == (4, "")
    assert "no drill is started: web is not healthy" in ended.err


def test_a_daemon_that_has_lost_its_ledger_is_unreachable(kintsugi: CommandLine, night: Night) -> None:
    night.away = True
    ended = kintsugi("restore", "drill", "database")
    assert ended.code == 3, ended
