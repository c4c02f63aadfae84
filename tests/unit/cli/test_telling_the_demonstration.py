"""How the demonstration is told: the tree in its place on a terminal, elsewhere a line for each change and no escape codes."""

import html
import io
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kintsugi.cli.demo.makespan import Makespan
from kintsugi.cli.demo.scene import Recovery, SceneOutcome, summary
from kintsugi.cli.demo.scenes import SHOWS, SceneName, listed
from kintsugi.cli.demo.teller import LiveTeller, PlainTeller
from kintsugi.cli.output import LiveTable
from kintsugi.model.api_types import (
    NO_ACTIVITY,
    ActivityKind,
    CurrentStep,
    DaemonStatus,
    HoldSummary,
    RunSummary,
    ServiceActivity,
    ServiceSummary,
    ServiceTree,
    StackSummary,
)
from kintsugi.model.records import IncidentState, StepState
from kintsugi.model.rules import Mode

SINCE = datetime(2026, 11, 26, 2, 58, tzinfo=UTC)
DAEMON = DaemonStatus(mode=Mode.AUTO, since=SINCE, cluster="https://10.0.0.1")
RUN = RunSummary(
    id="run-1",
    runbook="database-recovery",
    rule="database-alerts",
    state=IncidentState.RUNNING,
    started=SINCE,
    watchdog=SINCE + timedelta(hours=6),
    step=CurrentStep(path="logs", name="Check the database's logs", state=StepState.DONE),
)
DATABASE = ServiceSummary(
    name="database",
    namespace="production",
    priority=1,
    serving=False,
    healthy=False,
    ready=0,
    desired=1,
    since=SINCE,
    run=RUN,
    activity=ServiceActivity(
        kind=ActivityKind.RUN, text="running database-recovery: Check the logs; deadline 08:58:00"
    ),
)
API = ServiceSummary(
    name="api",
    namespace="production",
    priority=3,
    serving=False,
    healthy=False,
    ready=0,
    desired=2,
    since=SINCE,
    depends_on=("database",),
    hold=HoldSummary(
        upstream="database", why="it is being recovered", since=SINCE, until=SINCE + timedelta(minutes=15)
    ),
    activity=ServiceActivity(kind=ActivityKind.HELD, text="held by database until 03:13:00: it is being recovered"),
)


def plainly(*looks: Sequence[ServiceSummary]) -> list[str]:
    """Return the lines that are written where no terminal is."""
    lines: list[str] = []
    teller = PlainTeller(lines.append)
    for services in looks:
        teller.show(ServiceTree(daemon=DAEMON, services=tuple(services)), waits="waits for the database", since=SINCE)
    return lines


def test_without_a_terminal_a_service_has_a_line_with_its_state_its_hold_and_its_watchdog() -> None:
    database, api = plainly([DATABASE, API])
    assert "database: 0/1 ready, serving no, healthy no; running database-recovery: Check" in database
    assert database.endswith("deadline 08:58:00")
    assert api.endswith(
        "  api: 0/2 ready, serving no, healthy no; held by database until 03:13:00: it is being recovered"
    )


def test_a_service_is_told_again_when_it_has_changed_and_not_for_each_step_of_its_run() -> None:
    step = replace(DATABASE, run=replace(RUN, step=CurrentStep(path="x", name="Restart", state=StepState.INTENT)))
    verifies = ServiceActivity(kind=ActivityKind.RUN, text="verifying: 2m of health are required")
    verifying = replace(DATABASE, run=replace(RUN, state=IncidentState.VERIFYING), activity=verifies)
    serving = replace(API, serving=True, ready=1, hold=None, activity=NO_ACTIVITY)
    assert len(plainly([DATABASE, API], [step, API])) == 2
    assert "verifying" in plainly([DATABASE, API], [verifying, API])[2]
    assert plainly([DATABASE, API], [DATABASE, serving])[2].endswith("api: 1/2 ready, serving yes, healthy no")


def test_an_incident_about_all_services_has_a_line_of_its_own_before_theirs() -> None:
    lines: list[str] = []
    stack = StackSummary(
        incident="inc-1",
        state=IncidentState.RUNNING,
        run=replace(RUN, runbook="full-stack-recovery"),
        activity=ServiceActivity(kind=ActivityKind.RUN, text="running full-stack-recovery: Check the logs"),
    )
    teller = PlainTeller(lines.append)
    for _ in range(2):
        teller.show(ServiceTree(daemon=DAEMON, services=(DATABASE,), stack=stack), waits="waits for all", since=SINCE)
    first, _ = lines
    assert "stack: running full-stack-recovery: Check" in first


ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal(io.StringIO):
    """A terminal of 120 columns."""

    def isatty(self) -> bool:
        """Return that it is one."""
        return True


def test_on_a_terminal_lines_come_above_the_tree_which_is_written_over(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with LiveTable() as screen:
        teller = LiveTeller(screen)
        teller.show(ServiceTree(daemon=DAEMON, services=(DATABASE, API)), waits="waits for the database", since=SINCE)
        teller.write("  a line that is too long for it " + "and goes on " * 20)
        teller.show(
            ServiceTree(daemon=DAEMON, services=(replace(DATABASE, serving=True), API)),
            waits="waits for the api",
            since=SINCE,
        )
    written = terminal.getvalue()
    plain = ESCAPES.sub("", written)
    assert "\x1b[1A" in written, "nothing is written over"
    first, above, last = (plain.index(text) for text in ("waits for the database", "a line that", "waits for the api"))
    assert first < above < last
    wrapped = plain[above:last].splitlines()[:3]
    assert sum(line.count("goes") for line in wrapped) == 20, wrapped
    assert max(len(line) for line in wrapped) <= 120
    assert wrapped[1].startswith("      "), wrapped
    assert "  api" in plain[last:]
    assert "held by database until 03:13:00: it is being recovered" in plain[last:]
    assert written.endswith("\x1b[?25h"), "the cursor is not given back"


FINE = SceneOutcome(
    name=SceneName.CAUSE_FIRST,
    title="",
    wanted=IncidentState.RECOVERED,
    state=IncidentState.RECOVERED,
    reason="",
    seconds=20,
    recoveries=(
        Recovery(
            service="database", state=IncidentState.RECOVERED, reason="", runbook="database-recovery", began=2, ended=12
        ),
        Recovery(service="web", state=IncidentState.RECOVERED, reason="upstream: it recovered"),
    ),
    makespan=Makespan(whole=20, critical_path=14, one_by_one=26.5),
)


def test_the_summary_of_several_services_says_what_became_of_each_and_what_was_saved() -> None:
    told, database, web, saved = summary(FINE)
    assert told.strip() == "As expected: recovered after 20.0s."
    assert database.split() == ["database", "recovered", "2.0s", "to", "12.0s", "database-recovery"]
    assert web.strip() == "web       recovered  no run: upstream: it recovered"
    assert saved.strip().endswith("One run after another would have taken 26.5s, so 6.5s were saved.")


def test_a_scene_that_ended_otherwise_says_what_was_wanted_or_what_is_wrong() -> None:
    assert summary(replace(FINE, state=None))[0].startswith(
        "  Not as expected (recovered was expected): no incident ended"
    )
    assert summary(replace(FINE, wrong="web was not held"))[0].startswith(
        "  Not as expected (web was not held): recovered"
    )


def test_each_scene_is_listed_in_a_line_of_its_own() -> None:
    assert set(SHOWS) == set(SceneName)
    assert [line.split()[0] for line in listed().splitlines()] == list(SceneName)


def test_the_readme_shows_the_scenes_in_their_order_and_that_all_end_as_expected() -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    table = re.findall(r"^([a-z-]+) +(?:recovered|rolled-back) +yes ", readme, re.MULTILINE)
    assert table == list(SceneName)


def test_the_picture_of_the_readme_is_a_run_that_ended_as_expected_and_fetches_nothing() -> None:
    root = Path(__file__).parents[3]
    picture = root / "docs" / "demo.svg"
    drawn = html.unescape(re.sub(r"<[^>]+>", "", picture.read_text())).replace("\xa0", " ")
    assert f"docs/{picture.name}" in (root / "README.md").read_text()
    assert re.search(
        r"\$ kintsugi demo --scene missing-image.*cause: ImagePull.*As expected: recovered", drawn, re.DOTALL
    )
    assert "url(http" not in picture.read_text()
