"""
Decides what happens with a service now, as `kintsugi services` shows it: the first of `ANSWERS` that is true, and why
no rule acts on a service that is not healthy.

Pure: facts and `now` are arguments.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from kintsugi.decisions.guards import HandOver, covers
from kintsugi.decisions.next_command import answer_command, resume_hint
from kintsugi.decisions.watchdog import Progress, WatchdogTimings, settle_time, steady_since, unfinished
from kintsugi.durations import format_seconds
from kintsugi.model.api_types import NO_ACTIVITY, ActivityKind, CurrentStep, HoldSummary, ServiceActivity
from kintsugi.model.questions import Question, QuestionKind
from kintsugi.model.records import HoldingSignals, Incident, IncidentState, Pause, RunRecord, Verdict, VerdictKind
from kintsugi.model.rules import Rule
from kintsugi.model.views import ServiceView

_NO_END = datetime.max.replace(tzinfo=UTC)

_WILL = {
    VerdictKind.OBSERVED: "reports",
    VerdictKind.AWAITING_APPROVAL: "asks a person",
    VerdictKind.STARTED: "acts",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """What the guards will decide at `due`, if a rule's condition lasts until then and nothing else happens."""

    due: datetime
    verdict: Verdict

    def __str__(self) -> str:
        """Return a sentence for a person."""
        name, will = self.verdict.rule, _WILL.get(self.verdict.kind)
        if will is None:
            return f"rule {name} does nothing at {self.due:%H:%M:%S}: {self.verdict.text}"
        return f"rule {name} {will} at {self.due:%H:%M:%S} if the condition lasts until then"


@dataclass(frozen=True, kw_only=True, slots=True)
class ActivityInput:
    """
    The facts about one service, or about all of them together (`view` None).

    `stale` is why the state of the cluster cannot be trusted, "" if it can. `annotation` is the pause in the annotations
    of the service's namespace. `question` is the open one of the incident. `inaction` is why no rule acts.
    """

    name: str
    view: ServiceView | None = None
    stale: str = ""
    pauses: tuple[Pause, ...] = ()
    annotation: str = ""
    handed_over: HandOver | None = None
    incident: Incident | None = None
    question: Question | None = None
    hold: HoldSummary | None = None
    run: RunRecord | None = None
    step: CurrentStep | None = None
    timings: WatchdogTimings = field(default_factory=WatchdogTimings)
    inaction: str = ""


def activity(inputs: ActivityInput, *, now: datetime) -> ServiceActivity:
    """Return what happens with a service now."""
    answers = (answer(inputs, now) for answer in ANSWERS)
    return next((each for each in answers if each is not None), NO_ACTIVITY)


def _stale(inputs: ActivityInput, now: datetime) -> ServiceActivity | None:
    if inputs.stale:
        return ServiceActivity(kind=ActivityKind.STALE, text=f"not observed: {inputs.stale}")
    if inputs.view is not None and not inputs.view.is_current:
        return ServiceActivity(kind=ActivityKind.STALE, text="not observed: objects of the service cannot be read")
    return None


def _paused(inputs: ActivityInput, now: datetime) -> ServiceActivity | None:
    """Answer with the pause that lasts longest, a freeze first; a run under way is named beside it."""
    rule = inputs.run.rule if inputs.run is not None else ""
    namespace = inputs.view.service.namespace if inputs.view is not None else ""
    covering = [each for each in inputs.pauses if covers(each, namespace=namespace, rule=rule, service=inputs.name)]
    beside = f"; run of {inputs.run.runbook}: {inputs.run.state}" if inputs.run is not None else ""
    if not covering:
        text = f"{inputs.annotation}{beside}"
        return ServiceActivity(kind=ActivityKind.PAUSED, text=text) if inputs.annotation else None
    chosen = max(covering, key=lambda each: (each.freeze, each.until or _NO_END))
    kind = ActivityKind.FROZEN if chosen.freeze else ActivityKind.PAUSED
    text = f"{kind} by {chosen.who} {_until(chosen.until, now) or 'until resumed'}: {chosen.why}{beside}"
    return ServiceActivity(kind=kind, text=text, until=chosen.until)


def _handed_over(inputs: ActivityInput, now: datetime) -> ServiceActivity | None:
    found = inputs.handed_over
    if found is None or inputs.incident is not None or found.until <= now:
        return None
    until, how = _until(found.until, now), resume_hint(found.incident)
    text = f"handed over to a person {until}: kintsugi incident {found.incident} ({how})"
    return ServiceActivity(kind=ActivityKind.HANDED_OVER, text=text, until=found.until)


def _asked(inputs: ActivityInput, now: datetime) -> ServiceActivity | None:
    if inputs.incident is None or inputs.incident.state is not IncidentState.AWAITING_APPROVAL:
        return None
    expires = inputs.question.expires if inputs.question is not None else None
    kind = inputs.question.kind if inputs.question is not None else QuestionKind.APPROVAL
    until = f" {_until(expires, now)}" if expires is not None else ""
    text = f"waits for a person's answer{until}: {answer_command(kind, inputs.incident.id)}"
    return ServiceActivity(kind=ActivityKind.AWAITING_APPROVAL, text=text, until=expires)


def _held(inputs: ActivityInput, now: datetime) -> ServiceActivity | None:
    hold = inputs.hold
    if hold is None:
        return None
    by, until = f" by {hold.upstream}" if hold.upstream else "", _until(hold.until, now)
    text = f"held{by}{f' {until}' if until else ''}: {''.join(hold.why.splitlines()[:1])}"
    return ServiceActivity(kind=ActivityKind.HELD, text=text, until=hold.until)


def _under_way(inputs: ActivityInput, now: datetime) -> ServiceActivity | None:
    run, step = inputs.run, inputs.step
    if run is None:
        return None
    what = f"{run.state} {run.runbook}"
    if run.state is IncidentState.VERIFYING:
        what = f"{run.state}: {_verification(inputs.view, run, inputs.timings, now)}" if inputs.view else what
    elif step is not None:
        what = f"{what}: {step.name or step.path} ({step.state})"
    text = f"{what}; deadline {_moment(run.deadline, now)}"
    return ServiceActivity(kind=ActivityKind.RUN, text=text, until=run.deadline)


def _verification(view: ServiceView, run: RunRecord, timings: WatchdogTimings, now: datetime) -> str:
    """Return what a run that verifies waits for."""
    progress = Progress(began=run.started, deadline=run.deadline, steps_finished_at=run.steps_finished_at)
    since, settle = steady_since(view, progress), settle_time(view, timings)
    if since is None:
        return f"not healthy, {view.ready} of {view.desired} ready"
    if now - since < settle:
        return f"{format_seconds(settle)} of health are required, {format_seconds(max(now, since) - since)} so far"
    return unfinished(view, run.started) or "healthy, the trigger must clear"


def _inactive(inputs: ActivityInput, now: datetime) -> ServiceActivity | None:
    """Answer with the reason for which nothing is done for a service that is not well and has no incident."""
    failing = inputs.incident is None and inputs.view is not None and inputs.view.is_failing
    return ServiceActivity(kind=ActivityKind.INACTION, text=inputs.inaction) if failing and inputs.inaction else None


def _warned(inputs: ActivityInput, now: datetime) -> ServiceActivity | None:
    """Answer with what the objects of a service that is well show to be wrong."""
    warnings = inputs.view.warnings if inputs.view is not None else ()
    return ServiceActivity(kind=ActivityKind.WARNING, text="; ".join(warnings)) if warnings else None


ActivityOf = Callable[[ActivityInput, datetime], ServiceActivity | None]

ANSWERS: tuple[ActivityOf, ...] = (_stale, _paused, _handed_over, _asked, _held, _under_way, _inactive, _warned)
"""The order of the answers: what makes all others uncertain, decisions of people, then the work and its absence, then warnings."""


def _until(end: datetime | None, now: datetime) -> str:
    return f"until {_moment(end, now)}" if end is not None else ""


def _moment(when: datetime, now: datetime) -> str:
    return f"{when:%H:%M:%S}" if when.date() == now.date() else f"{when:%Y-%m-%d %H:%M:%S}"


def inaction_reason(
    rules: Collection[Rule],
    holding: Mapping[str, HoldingSignals],
    forecast: Forecast | None = None,
    paused: Collection[str] = (),
) -> str:
    """
    Return why no rule acts on a service that is not well.

    `holding` are the signals that hold by rule, `forecast` is about the condition without a signal that is due first; `paused`
    names those that a pause of the rule alone covers.
    """
    if not rules:
        return "no rule watches this service"
    names = sorted(rule.name for rule in rules)
    if all(each in paused for each in names):
        return f"each rule of this service is paused ({', '.join(names)})"
    if firing := [each for each in names if each in holding and each not in paused]:
        judged = next(((each, found) for each in firing if (found := holding[each].verdict) and found.text), None)
        outcome = f"rule {judged[0]}: {judged[1].text}" if judged else "the outcome is in `kintsugi signals`"
        return f"seen by {', '.join(firing)}; {outcome}"
    if forecast is not None:
        return str(forecast)
    return f"no rule of this service matches now ({', '.join(names)})"
