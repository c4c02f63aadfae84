"""
One scene of the demonstration: it only breaks something; the outcome is read from the ledger and the daemon's API.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from kintsugi.cli.demo.makespan import Makespan, RunSpan, makespan
from kintsugi.cli.demo.narration import Narrator
from kintsugi.cli.demo.scenes import SceneName
from kintsugi.cli.demo.stage import DemoStage
from kintsugi.cli.output import took
from kintsugi.cli.summary_tables import first_line
from kintsugi.kube.steady_clock import wall_clock
from kintsugi.model.records import Incident, IncidentState
from kintsugi.model.services import STACK

_POLL_SECONDS = 0.2
_MANY = 50


async def no_check(_: DemoStage) -> str:
    """Ask for nothing but that the incident ends as it should."""
    return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoScene:
    """
    One fault: its title, its cause, and the expected end of the incident of `service`.

    `rule` is the rule that notices it first, "" where a person does, `waits` the text for the following wait; `check`
    returns a problem that the end does not show, or "".
    """

    name: SceneName
    title: str
    rule: str = ""
    waits: str
    break_it: Callable[[DemoStage], Awaitable[None]]
    service: str
    end: IncidentState
    check: Callable[[DemoStage], Awaitable[str]] = no_check


@dataclass(frozen=True, kw_only=True, slots=True)
class Recovery:
    """The recovery of one service: the incident's end, and the seconds of its run; no runbook where none was needed."""

    service: str
    state: IncidentState
    reason: str
    runbook: str = ""
    began: float = 0.0
    ended: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneOutcome:
    """The expected and the actual end of a scene; no `state` when no incident ended in time."""

    name: SceneName
    title: str
    wanted: IncidentState
    state: IncidentState | None
    reason: str
    seconds: float
    wrong: str = ""
    recoveries: Sequence[Recovery] = ()
    makespan: Makespan | None = None

    @property
    def as_wanted(self) -> bool:
        """Return whether it went as it should."""
        return self.state is self.wanted and not self.wrong


async def perform(scene: DemoScene, stage: DemoStage, narrator: Narrator, within: timedelta) -> SceneOutcome:
    """Break something and narrate the events until all incidents are closed, or the time is over."""
    began = narrator.began = wall_clock()
    write = stage.teller.write
    write(f"\n{scene.name}: {scene.title}.")
    first = f"until {seen_by(scene, stage)}, then for " if scene.rule else "for "
    write(f"  The scene waits {first}{scene.waits}; {took(within)} at most.")
    await scene.break_it(stage)
    while wall_clock() - began < within:
        await asyncio.sleep(_POLL_SECONDS)
        await narrator.poll()
        incidents = await since(stage, began)
        stage.teller.show(await stage.tree(), waits=waiting_for(scene, stage, incidents), since=began)
        if is_over(scene, stage, incidents):
            break
    await narrator.poll()
    outcome = await outcome_of(scene, stage, began)
    for line in summary(outcome):
        write(line)
    return outcome


async def since(stage: DemoStage, began: datetime) -> Sequence[Incident]:
    """Return the incidents of this scene, the newest first."""
    return [each for each in await stage.core.ledger.incidents.newest(limit=_MANY) if each.opened >= began]


def seen_by(scene: DemoScene, stage: DemoStage) -> str:
    """Return which rule sees what was broken, and for how long it must have been so."""
    rule = stage.core.active_catalog.catalog.rules.get(scene.rule)
    if rule is None:
        return f"rule {scene.rule} sees the fault (the catalog does not have this rule)"
    return (
        f"rule {scene.rule} has seen the fault for {took(rule.for_duration)}"
        if rule.for_duration
        else f"rule {scene.rule} sees the fault"
    )


def waiting_for(scene: DemoScene, stage: DemoStage, incidents: Sequence[Incident]) -> str:
    """Return what the scene waits for now."""
    opened = [each for each in reversed(incidents) if each.closed is None]
    if opened:
        return f"waits for {', '.join(f'{each.service} ({each.state})' for each in opened)}"
    if not incidents:
        return f"waits until {seen_by(scene, stage)}" if scene.rule else f"waits for {scene.waits}"
    unwell = [each for each in stage.services if not stage.is_healthy(each)]
    return (
        f"waits for {', '.join(unwell)} to be healthy"
        if unwell
        else "all services are healthy, and no incident is open"
    )


def is_over(scene: DemoScene, stage: DemoStage, incidents: Sequence[Incident]) -> bool:
    """Return whether the service's incident ended otherwise than it should, or all of them ended and everything is well."""
    own = next((each for each in incidents if each.service == scene.service), None)
    if own is None or own.closed is None:
        return False
    over = all(each.closed for each in incidents) and all(map(stage.is_healthy, stage.services))
    return own.state is not scene.end or over


async def outcome_of(scene: DemoScene, stage: DemoStage, began: datetime) -> SceneOutcome:
    """Gather how a scene ended."""
    incidents, seconds = await since(stage, began), (wall_clock() - began).total_seconds()
    own = next((each for each in incidents if each.service == scene.service and each.closed), None)
    found = [each for incident in reversed(incidents) for each in await recoveries(stage, incident, began)]
    spans = [
        RunSpan(service=each.service, began=each.began, ended=each.ended)
        for each in found
        if each.runbook and each.service != STACK
    ]
    wrong = ""
    if own is not None and own.state is scene.end:
        left = [each.service for each in incidents if each.closed is None]
        wrong = f"still open: {', '.join(left)}" if left else await scene.check(stage)
    return SceneOutcome(
        name=scene.name,
        title=scene.title,
        wanted=scene.end,
        state=own.state if own is not None else None,
        reason=first_line(own.reason) if own is not None and own.reason else "no incident ended",
        seconds=seconds,
        wrong=wrong,
        recoveries=found,
        makespan=makespan(spans, stage.needs, whole=seconds) if len(spans) > 1 else None,
    )


async def recoveries(stage: DemoStage, incident: Incident, began: datetime) -> Sequence[Recovery]:
    """Return what became of an incident's service, for each of its runs that has ended."""
    runs = [run for run in await stage.core.ledger.runs.of_incident(incident.id) if run.finished is not None]
    if not runs:
        return [Recovery(service=incident.service, state=incident.state, reason=first_line(incident.reason))]
    return [
        Recovery(
            service=incident.service,
            state=incident.state,
            reason=first_line(incident.reason),
            runbook=run.runbook,
            began=(run.started - began).total_seconds(),
            ended=(run.finished - began).total_seconds(),
        )
        for run in runs
        if run.finished is not None
    ]


def summary(outcome: SceneOutcome) -> Sequence[str]:
    """Return in a few lines how a scene ended; of several services what became of each, and what was saved."""
    end = str(outcome.state or "no incident ended")
    judgement = (
        "As expected" if outcome.as_wanted else f"Not as expected ({outcome.wrong or f'{outcome.wanted} was expected'})"
    )
    lines = [f"  {judgement}: {end} after {outcome.seconds:.1f}s."]
    if len(outcome.recoveries) > 1:
        width = max(len(each.service) for each in outcome.recoveries)
        for each in outcome.recoveries:
            when = (
                f"{each.began:5.1f}s to {each.ended:5.1f}s  {each.runbook}"
                if each.runbook
                else f"no run: {each.reason}"
            )
            lines.append(f"    {each.service:{width}}  {each.state}  {when}")
    if outcome.makespan is not None:
        found = outcome.makespan
        lines.append(
            f"  Total time {found.whole:.1f}s, critical path {found.critical_path:.1f}s. One run after another would have taken "
            f"{found.one_by_one:.1f}s, so {found.saved:.1f}s were saved."
        )
    return lines
