"""`kintsugi demo`, which is a distribution of its own, and how it is told: each fact once, in a line of its own."""

import html
import importlib.metadata
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import typer

from kintsugi import cli
from kintsugi.cli import main
from kintsugi.cli.errors import ExitCode
from kintsugi.cli.output import print_indented
from kintsugi.errors import KintsugiError
from kintsugi.model.api_types import EvaluatedSignal, IncidentDetail, RunDetail, ServiceSummary
from kintsugi.model.records import (
    IncidentState,
    KeptDiagnosis,
    Occasion,
    Phase,
    Reason,
    RunRecord,
    StepRecord,
    StepState,
    Verdict,
    VerdictKind,
)
from kintsugi_demo import SHOWS, SceneName
from kintsugi_demo.narration import Narrator, SceneOutcome, summary
from kintsugi_demo.scenes import SCENES
from tests.integration.told_diagnosis import DIAGNOSIS
from tests.unit.cli.test_words import Terminal
from tests.unit.factories import NOW, incident, run, signal, step


def test_the_scenes_are_listed_without_the_embedded_cluster(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The entry point leads to the command; what plays scenes is loaded only for them."""
    monkeypatch.setitem(sys.modules, "kubesim", None)
    with pytest.raises(SystemExit) as left:
        main(["demo", "--list"])
    assert left.value.code == ExitCode.DONE
    assert "crash-loop" in capsys.readouterr().out


def test_the_command_line_says_in_one_line_what_to_install_where_it_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: importlib.metadata.EntryPoints(()))
    app = typer.Typer()
    cli.register_installed(app, "demo")
    assert app.registered_commands == [], "nothing takes the place of the command that says so"
    with pytest.raises(KintsugiError, match=r"pip install 'kintsugi-daemon\[demo\]'"):
        cli.absent("demo")()


WEB = ServiceSummary(
    name="web", namespace="production", priority=3, serving=True, healthy=True, ready=3, desired=3, since=NOW
)
BROKEN = replace(WEB, ready=2, healthy=False)
STARTED = Verdict(kind=VerdictKind.STARTED, reason=Reason.MATCHED, text="rule web-pods starts mend")


def after(seconds: float) -> datetime:
    """Return a time after the scene has begun."""
    return NOW + timedelta(seconds=seconds)


def done(path: str, seconds: float, **fields: object) -> StepRecord:
    """Return the record of a step that has ended."""
    return replace(step(path, state=StepState.DONE), finished=after(seconds), **fields)  # type: ignore[arg-type]


def detail(found: RunRecord, *steps: StepRecord) -> IncidentDetail:
    """Return an incident with one run of these steps, whose signal has a verdict."""
    return IncidentDetail(
        incident=incident(),
        signals=(EvaluatedSignal(signal=signal(), verdict=STARTED),),
        runs=(RunDetail(run=found, steps=steps),),
    )


def told(*looks: tuple[Sequence[ServiceSummary], Sequence[IncidentDetail]]) -> list[str]:
    """Return the lines that are written at some looks."""
    lines: list[str] = []
    narrator = Narrator(write=lines.append, began=NOW)
    for services, incidents in looks:
        narrator.show(services, incidents)
    return lines


def test_a_service_has_a_line_when_it_is_not_well_and_whenever_that_changes() -> None:
    assert told(([WEB], ()), ([WEB], ())) == []
    broken, well = told(([BROKEN], ()), ([BROKEN], ()), ([WEB], ()), ([WEB], ()))
    assert broken.endswith("s  web: 2/3 ready, serving yes, healthy no")
    assert well.endswith("s  web: 3/3 ready, serving yes, healthy yes")


def test_an_incident_is_told_from_its_signal_to_its_end_in_the_order_of_time_and_each_fact_once() -> None:
    deleted = done("restart#0", 2, text="kubectl delete pod web-1", changes=True)
    checked = done("look", 1, text="kubectl get pods", met=False, error="not met: all(p)\ndetails")
    running = detail(replace(run(), reason="rule web-pods starts mend"), deleted, checked, step("later"))
    ended = replace(run(state=IncidentState.RECOVERED), reason="web is healthy", finished=after(5))
    kept = KeptDiagnosis(incident="inc-1", occasion=Occasion.OPENED, diagnosis=replace(DIAGNOSIS, at=after(0.5)))
    over = replace(detail(ended, deleted, checked), diagnoses=(kept,))
    first = DIAGNOSIS.causes[0]
    assert told(([], [running]), ([], [running]), ([], [over])) == [
        "  0.0s  web: signal: pod production/web-1: started, rule web-pods starts mend",
        "  0.0s  web: → running: rule web-pods starts mend",
        "  1.0s  web: ✓ kubectl get pods — not met: all(p)",
        "  2.0s  web: ✓ kubectl delete pod web-1",
        f"  0.5s  web: cause: {first.kind} ({first.confidence}): {DIAGNOSIS.summary}",
        "  5.0s  web: → recovered: web is healthy",
    ]


def test_a_rollback_is_told_before_its_steps_which_are_marked() -> None:
    undone = done("undo#0", 9, text="kubectl rollout undo", phase=Phase.ROLLBACK, started=after(8))
    found = replace(run(state=IncidentState.ROLLING_BACK), reason="still failing")
    *_, decided, step_line = told(([], [detail(found, undone)]))
    assert decided == "  8.0s  web: → rolling-back: still failing"
    assert step_line == "  9.0s  web: ✓ [rollback] kubectl rollout undo"


def test_steps_that_were_left_out_and_bookkeeping_are_not_told() -> None:
    skipped = replace(done("look", 1), state=StepState.SKIPPED)
    assert len(told(([], [detail(run(), skipped, done("drain#", 1), step("never"))]))) == 2


def test_a_terminal_continues_a_long_line_further_in_and_nothing_else_wraps_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    long = "  a line that is too long for it " + "and goes on " * 20
    print_indented(long)
    assert capsys.readouterr().out.rstrip() == long.rstrip()
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    print_indented(long)
    wrapped = terminal.getvalue().splitlines()
    assert sum(line.count("goes") for line in wrapped) == 20, wrapped
    assert max(map(len, wrapped)) <= 120
    assert all(line.startswith("      ") for line in wrapped[1:]), wrapped


FINE = SceneOutcome(
    name=SceneName.FULL_STACK, wanted=IncidentState.RECOVERED, state=IncidentState.RECOVERED, reason="", seconds=20
)


def test_the_summary_says_whether_a_scene_ended_as_expected_and_else_what_is_wrong() -> None:
    assert summary(FINE) == "  As expected: recovered after 20.0s."
    late = summary(replace(FINE, state=None))
    assert late == "  Not as expected (recovered was expected): no incident ended after 20.0s."
    wrong = summary(replace(FINE, wrong="999 orders instead of 1000"))
    assert wrong == "  Not as expected (999 orders instead of 1000): recovered after 20.0s."


def test_each_name_of_a_scene_has_a_scene_and_a_line_that_says_what_it_shows() -> None:
    assert set(SHOWS) == set(SceneName)
    assert [each.name for each in SCENES] == list(SceneName)


def test_the_readme_shows_the_scenes_in_their_order_and_that_all_end_as_expected() -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    table = re.findall(r"^([a-z-]+) +(?:recovered|rolled-back|cancelled) +yes ", readme, re.MULTILINE)
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
