"""
A stack of services that break, in virtual time: who is held and who is started, by the decisions of `priorities` alone.

Every fifteen seconds the world goes on: causes come and go, dependents follow what they depend on, runs end. Then all that is
in trouble is judged, as the pipeline does it: by rank, with what the ledger would know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from graphlib import TopologicalSorter

from hypothesis import strategies as st

from kintsugi.decisions.priorities import (
    HoldInput,
    HoldRecord,
    HoldTimings,
    OpenRuns,
    UnhealthyService,
    holds,
    ongoing_hold,
    rank,
    upstreams_of,
)
from kintsugi.decisions.reconciliation import overdue_hold_notice
from kintsugi.model.history import PastRun
from kintsugi.model.records import IncidentState, RunRecord
from kintsugi.model.services import OnUpstreamFailure, Service
from kintsugi.model.views import ServiceView
from kintsugi.views.view_builder import with_serving
from tests.unit.factories import incident, moment, past, run, view, web

TICK = timedelta(seconds=15)
TERMS = HoldTimings()
LAG = timedelta(minutes=5)
"""How long a signal goes on after its service is well."""


@dataclass(frozen=True, kw_only=True)
class Script:
    """
    What happens to one service: when a cause of its own begins, whether a run mends it, or when it ends by itself.

    One without a rule is never run.
    """

    breaks: int | None = None
    mends: bool = True
    passes: int | None = None
    takes: int = 8
    own: str = ""
    flaps: int = 0
    ruled: bool = True


@dataclass(frozen=True, kw_only=True)
class Start:
    """A run that began, with what was true at that moment of everything that its service depends on."""

    service: str
    at: datetime
    well_for: timedelta | None
    held_for: timedelta
    down: tuple[str, ...]
    mended: tuple[str, ...]
    given_up: tuple[str, ...]
    explained: bool


@dataclass(kw_only=True)
class StackViews:
    """The services, and what is known of them."""

    services: Mapping[str, Service] = field(repr=False)
    scripts: Mapping[str, Script]
    arrival: Sequence[str]
    slots: int = 3
    now: datetime = field(default_factory=moment)
    starts: list[Start] = field(default_factory=list)
    told: dict[str, int] = field(default_factory=dict)
    recovered: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.views: dict[str, ServiceView] = {
            name: replace(view(each), serving_since=moment(hours=-1)) for name, each in self.services.items()
        }
        self.broken: dict[str, bool] = dict.fromkeys(self.services, False)
        self.began: dict[str, datetime] = {}
        self.quiet: dict[str, datetime] = {}
        self.held: dict[str, datetime] = {}
        self.runs: dict[str, RunRecord] = {}
        self.ended: dict[str, PastRun] = {}

    def play(self, ticks: int) -> "StackViews":
        """Let so many ticks go by."""
        for tick in range(ticks):
            self.now = moment() + tick * TICK
            self._happen(tick)
            self._end_runs()
            self._look()
            self._judge()
        return self

    def _happen(self, tick: int) -> None:
        for name, script in self.scripts.items():
            if script.breaks == tick:
                self.broken[name] = True
            if script.passes is not None and script.breaks is not None and tick == script.breaks + script.passes:
                self.broken[name] = False
            if script.flaps and script.breaks is not None and tick > script.breaks:
                self.broken[name] = (tick - script.breaks) // script.flaps % 2 == 0

    def _end_runs(self) -> None:
        for name, going in list(self.runs.items()):
            script = self.scripts[name]
            if self.now - going.started < script.takes * TICK:
                continue
            del self.runs[name]
            if script.mends:
                self.broken[name] = False
            state = IncidentState.RECOVERED if script.mends else IncidentState.FAILED
            self.ended[name] = past(state, service=name, finished=self.now)

    def _look(self) -> None:
        """See each service as it is: one that is not broken serves as soon as all that it depends on do."""
        serving: dict[str, bool] = {}
        needed = {name: each.depends_on for name, each in self.services.items()}
        for name in TopologicalSorter(needed).static_order():
            needs = self.services[name].depends_on
            serving[name] = not self.broken[name] and all(serving[each] for each in needs)
            before, ready = self.views[name], 3 if serving[name] else 0
            since = before.healthy_since if serving[name] else before.failing_since
            well, ill = (since or self.now, None) if serving[name] else (None, since or self.now)
            seen = replace(before, ready=ready, healthy=serving[name], healthy_since=well, failing_since=ill)
            self.views[name] = with_serving(seen, before, now=self.now)
            self._fire(name, well=serving[name])

    def _fire(self, name: str, *, well: bool) -> None:
        """Let the signal of a service begin with its trouble, and end a while after it."""
        if not well:
            self.began.setdefault(name, self.now)
            self.quiet.pop(name, None)
        elif name in self.began:
            self.quiet.setdefault(name, self.now + LAG)
            if self.now >= self.quiet[name]:
                del self.began[name], self.quiet[name]
                if self.held.pop(name, None) is not None:
                    self.recovered.append(name)

    def _judge(self) -> None:
        waiting = [name for name in self.arrival if name in self.began and name not in self.runs]
        for name in sorted(waiting, key=lambda each: rank(self.services[each])):
            self._judge_one(name)

    def _judge_one(self, name: str) -> None:
        service, own = self.services[name], self.scripts[name].own
        trouble = UnhealthyService(service=service, began=self.began[name], own=own)
        upstream = HoldInput(views=self.views, under_way=OpenRuns(runs=self.runs), timings=TERMS)
        found = holds(trouble, self.services, upstream, now=self.now)
        known = HoldRecord(since=self.held.get(name), ended=self.ended)
        if ongoing_hold(found, known, TERMS, now=self.now) is not None:
            since = self.held.setdefault(name, self.now)
            opened = replace(incident(state=IncidentState.HELD, service=name), opened=since)
            self.told[name] = self.told.get(name, 0) + bool(overdue_hold_notice(opened, TERMS.limit, now=self.now))
        elif len(self.runs) < self.slots and self.scripts[name].ruled and self._rested(name):
            self._start(name)

    def _rested(self, name: str) -> bool:
        """Return whether the cooldown of ten minutes is over."""
        last = self.ended.get(name)
        return last is None or last.finished is None or self.now - last.finished >= timedelta(minutes=10)

    def _start(self, name: str) -> None:
        known = upstreams_of(name, self.services)
        down = tuple(each for each in known if not self.views[each].serving)
        lapsed = [self.views[each].lapsed_since for each in down]
        after = all(at is None or self.began[name] >= at - TERMS.head_start for at in lapsed)
        well = self.views[name].healthy_since
        held_since = self.held.pop(name, self.now)
        self.starts.append(
            Start(
                service=name,
                at=self.now,
                well_for=self.now - well if well is not None else None,
                held_for=self.now - held_since,
                down=down,
                mended=tuple(each for each in down if each in self.runs),
                given_up=tuple(each for each in down if self._given_up(each)),
                explained=after and not self.scripts[name].own,
            )
        )
        self.runs[name] = replace(run(service=name), id=f"run-{len(self.starts)}", started=self.now)

    def _given_up(self, name: str) -> bool:
        last, lapsed = self.ended.get(name), self.views[name].lapsed_since
        failed = last is not None and last.state is IncidentState.FAILED and last.finished is not None
        return name not in self.runs and failed and (lapsed is None or (last is not None and last.finished >= lapsed))  # type: ignore[operator]


def stack_of(
    scripts: Sequence[Script], edges: Sequence[Sequence[int]], choices: Sequence[OnUpstreamFailure]
) -> StackViews:
    """Build a stack whose n-th service depends on earlier ones."""
    services = {
        f"s{at}": replace(
            web(),
            name=f"s{at}",
            priority=at + 1,
            depends_on=tuple(f"s{each}" for each in sorted(set(needs))),
            on_upstream_failure=choice,
        )
        for at, (needs, choice) in enumerate(zip(edges, choices, strict=True))
    }
    named = {f"s{at}": script for at, script in enumerate(scripts)}
    return StackViews(services=services, scripts=named, arrival=list(services))


@st.composite
def stacks(draw: st.DrawFn) -> StackViews:
    """Draw a stack of two to five services that break as they like."""
    count = draw(st.integers(2, 5))
    soon = st.none() | st.integers(0, 20)
    scripts = [
        Script(
            breaks=draw(soon),
            mends=draw(st.booleans()),
            passes=draw(st.none() | st.integers(1, 100)),
            takes=draw(st.integers(1, 120)),
            own=draw(st.sampled_from(["", "", "s-1: ImagePullBackOff"])),
            ruled=draw(st.sampled_from([True, True, False])),
        )
        for _ in range(count)
    ]
    edges = [draw(st.lists(st.integers(0, at - 1), max_size=2)) if at else [] for at in range(count)]
    choices = [draw(st.sampled_from(list(OnUpstreamFailure))) for _ in range(count)]
    return stack_of(scripts, edges, choices)
