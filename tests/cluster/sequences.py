"""
What happens to services over an hour, as users have it: faults one after the other, and what each came to.

A sequence has a namespace with one service of three lines in it. A watcher looks at all of them: what the API server says of each, what
`kintsugi services` says, what the daemon has written, and which notices have come.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from kintsugi.model.records import IncidentState
from tests.cluster.story import USER, ClusterStory, Json
from tests.harness import manifests
from tests.harness.api import ApiError
from tests.harness.audit import AuditEvent
from tests.harness.cluster import RealCluster
from tests.harness.daemon import DaemonProcess
from tests.harness.faults import Faults
from tests.harness.notices import NoticeReceiver
from tests.harness.waiting import wait_for

APP = "shop"
WORKLOAD = f"{APP}-deployment"
LOOK, ASK = 5.0, 15.0
"""Seconds between two looks at the API server, and between two questions to `kintsugi services`."""

TOLD_WITHIN, ACTING = timedelta(minutes=7), timedelta(minutes=10)
"""P11 (docs/reliability.md): how soon a person is told, and how long a change counts as a repair under way."""

REPAIRS = frozenset({"running", "recovered", "rolled-back", "no-action"})
"""The kinds of notices that tell what Kintsugi does or has done, and ask for nothing."""

FLICKER = timedelta(minutes=2)
"""A service that is down again within this time was not up: its pods only came and went."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of one fault: `end` is healed or told, after so many seconds."""

    sequence: str
    fault: str
    end: str
    after: float


@dataclass(kw_only=True)
class Place:
    """The namespace of one sequence, its service (of the same name) and what became of the faults there."""

    name: str
    namespace: str
    cluster: RealCluster
    daemon: DaemonProcess
    faults: Faults
    notices: NoticeReceiver
    outcomes: list[Outcome] = field(default_factory=list)
    _fault: str = ""
    _began: float = 0
    _told_before: int = 0

    @property
    def story(self) -> ClusterStory:
        """Return what reads and changes the service's Deployment."""
        return ClusterStory(self.cluster, self.namespace, self.daemon, app=APP)

    def fault(self, what: str, deed: Callable[[], object]) -> None:
        """Break something."""
        self._say(f"fault: {what}")
        self._fault, self._began, self._told_before = what, time.monotonic(), len(self.told())
        deed()

    def person(self, what: str, deed: Callable[[], object]) -> None:
        """Do what a person does."""
        self._say(f"a person {what}")
        deed()

    def healed(self, *, as_before: str = "web:good") -> None:
        """Expect the service to be whole again, with the image that it had, and once the fault was there."""
        wait_for(lambda: not self.is_whole(as_before), within=15, every=0.2, describe=self._state)
        wait_for(lambda: self.is_whole(as_before), within=240, every=1, describe=self._state)
        self._note("healed")

    def is_verified(self) -> None:
        """Expect its run to be over: the same fault under the same template is the run's own until then."""
        wait_for(lambda: IncidentState(self.incident()["state"]).is_final, within=240, every=1, describe=self._state)

    def is_told(self) -> None:
        """Expect a notice about the service since the fault."""
        wait_for(lambda: len(self.told()) > self._told_before, within=180, every=1, describe=self._state)
        self._note("told")

    def rests(self, seconds: float) -> None:
        """Let time pass: what is tried is how the daemon takes the next fault after this time."""
        self._say(f"nothing happens for {seconds:g} s")
        time.sleep(seconds)

    def told(self) -> list[str]:
        """Return the notices that ask a person to look at the service."""
        about = [each for each in self.notices.taken if self.name in each["text"] and each["kind"] not in REPAIRS]
        return [each["text"] for each in about]

    def roll_out(self, image: str) -> None:
        """Roll out an image, as a release would."""
        self.faults.bad_rollout(self.story.deployment(), image=image)

    def pause(self, why: str | None) -> None:
        """Pause the namespace by its annotation, or (None) end that."""
        self.cluster.api.patch("namespace", self.namespace, {"metadata": {"annotations": {"kintsugi.dev/paused": why}}})

    def delete_pods(self, *names: str) -> None:
        """Delete these pods, else all."""
        for each in names or [pod["metadata"]["name"] for pod in self.story.pods()]:
            self.cluster.api.delete("pod", each, self.namespace, grace=1)

    def is_whole(self, image: str = "web:good") -> bool:
        """Return whether the Deployment has the image, is rolled out and has all replicas ready."""
        try:
            found = self.story.deployment()
        except ApiError:
            return False
        status, wanted = found["status"], found["spec"]["replicas"]
        return bool(
            found["spec"]["template"]["spec"]["containers"][0]["image"] == image
            and status.get("observedGeneration", 0) >= found["metadata"]["generation"]
            and status.get("readyReplicas", 0)
            == status.get("replicas", 0)
            == status.get("updatedReplicas", 0)
            == wanted
        )

    def incident(self) -> Json:
        """Return its newest incident."""
        return next(each for each in self.daemon.incidents() if each["service"] == self.name)

    def _note(self, end: str) -> None:
        after = time.monotonic() - self._began
        self._say(f"{end} after {after:.0f} s")
        self.outcomes.append(Outcome(sequence=self.name, fault=self._fault, end=end, after=after))

    def _say(self, what: str) -> None:
        print(f"{datetime.now(UTC):%H:%M:%S}  {self.name}: {what}", flush=True)

    def _state(self) -> str:
        return f"{self.name}: {self._fault}\n{self.story.state()}\ntold: {self.told()}"


def deployed(namespace: str, **container: object) -> Sequence[Json]:
    """Return a Deployment of two pods of which one may be missing in a rollout, and its Service."""
    deployment, service = manifests.tier(namespace, APP, replicas=2)
    deployment["spec"]["strategy"] = {"rollingUpdate": {"maxUnavailable": 1, "maxSurge": 1}}
    deployment["spec"]["progressDeadlineSeconds"] = 120
    own = {"imagePullPolicy": "IfNotPresent", **container}
    deployment["spec"]["template"]["spec"]["containers"][0].update(own)
    return deployment, service


def catalog(places: Mapping[str, str]) -> str:
    """Write the services: three lines each."""
    return "---\n".join(
        "apiVersion: kintsugi.dev/v1alpha1\nkind: Service\n"
        f"metadata: {{name: {name}}}\nspec: {{namespace: {namespace}, workload: deployment/{WORKLOAD}}}\n"
        for name, namespace in places.items()
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What the API server said of one service at a moment: its replicas that are ready and wanted (None: it is not there), and its pause."""

    at: datetime
    ready: int
    wanted: int | None
    paused: bool

    @property
    def is_down(self) -> bool:
        """Return whether it is missing or lacks pods."""
        return self.wanted is None or self.ready < self.wanted


class Watcher:
    """Looks until it is stopped. `untrue` are answers of `kintsugi services` that stayed wrong from one question to the next."""

    def __init__(self, places: Sequence[Place]) -> None:
        self.places, self.daemon, self.cluster = places, places[0].daemon, places[0].cluster
        self.looks: dict[str, list[Look]] = {each.name: [] for each in places}
        self.arrived: list[datetime] = []
        self.asked = 0
        self.untrue: list[str] = []
        self.ended = threading.Event()
        self._wrong: dict[str, str] = {}

    def watch(self) -> None:
        """Look, and ask, until `ended` is set."""
        ask = time.monotonic()
        while not self.ended.wait(LOOK):
            self.look()
            if time.monotonic() >= ask:
                ask = time.monotonic() + ASK
                self._compare()

    def look(self) -> None:
        """Look at each service once, and note when notices came."""
        now = datetime.now(UTC)
        self.arrived += [now] * (len(self.places[0].notices.taken) - len(self.arrived))
        for each in self.places:
            self.looks[each.name].append(self._look_at(each, now))

    def _look_at(self, place: Place, now: datetime) -> Look:
        annotations = self.cluster.get("namespace", place.namespace)["metadata"].get("annotations", {})
        paused = "kintsugi.dev/paused" in annotations
        try:
            found = place.story.deployment()
        except ApiError:
            return Look(at=now, ready=0, wanted=None, paused=paused)
        return Look(
            at=now, ready=found["status"].get("readyReplicas", 0), wanted=found["spec"]["replicas"], paused=paused
        )

    def _compare(self) -> None:
        """Ask `kintsugi services`, and compare; what is wrong counts if it was wrong in the same way the time before."""
        done = self.daemon.command("services", "-o", "json")
        assert done.code == 0, done
        answered = {each["name"]: each for each in json.loads(done.out)["services"]}
        runs = dict(self.daemon.rows("SELECT service, state FROM runs WHERE finished IS NULL"))
        incidents = dict(self.daemon.rows("SELECT service, id FROM incidents WHERE closed IS NULL"))
        for each in self.places:
            look = self._look_at(each, datetime.now(UTC))
            wrong = "; ".join(
                _differences(answered[each.name], look, runs.get(each.name), incidents.get(each.name, ""))
            )
            self.asked += 1
            if wrong and wrong == self._wrong.get(each.name):
                self.untrue.append(f"{look.at:%H:%M:%S} {each.name}: {wrong}: {answered[each.name]['activity']}")
            self._wrong[each.name] = wrong


def _differences(said: Json, look: Look, run: str | None, incident: str) -> Iterator[str]:
    """Yield where an answer of `kintsugi services` is not what API server and ledger have."""
    if (said["ready"], said["desired"]) != (look.ready, look.wanted or 0):
        yield f"{said['ready']} of {said['desired']} ready, not {look.ready} of {look.wanted}"
    if look.is_down and said["healthy"]:
        yield "healthy"
    if look.paused != (said["activity"]["kind"] == "paused"):
        yield f"paused is {look.paused}"
    if (said["run"] or {}).get("state") != run:
        yield f"its run is {run}"
    if said["incident"] != incident:
        yield f"its incident is {incident!r}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Silence:
    """The longest time that a service was down while nothing was changed and nobody had been told, and whether P11 was broken."""

    service: str
    longest: timedelta
    since: datetime | None = None
    broken: bool = False


def silence(name: str, looks: Sequence[Look], writes: Sequence[datetime], notices: Sequence[datetime]) -> Silence:
    """Return the longest silence about one service; `writes` are the daemon's changes there, `notices` those about it."""
    longest = Silence(service=name, longest=timedelta(0))
    since: datetime | None = None
    up: datetime | None = None
    for look in looks:
        if not look.is_down:
            up = up or look.at
            continue
        if since is None or (up is not None and look.at - up > FLICKER):
            since = look.at
        up = None
        began = since
        if any(began - timedelta(seconds=LOOK) <= each <= look.at for each in notices):
            continue
        acted = max((each for each in writes if began <= each <= look.at), default=None)
        quiet = look.at - (acted or began)
        late = look.at - began > TOLD_WITHIN and (acted is None or quiet > ACTING)
        if quiet > longest.longest or late:
            longest = Silence(
                service=name, longest=max(quiet, longest.longest), since=began, broken=longest.broken or late
            )
    return longest


def silences(watcher: Watcher, written: Sequence[AuditEvent]) -> list[Silence]:
    """Return the longest silence of each service."""
    found = []
    for place in watcher.places:
        writes = [each.at for each in written if each.namespace == place.namespace and each.user == USER]
        taken = zip(watcher.arrived, place.notices.taken, strict=False)
        notices = [at for at, each in taken if place.name in each["text"]]
        found.append(silence(place.name, watcher.looks[place.name], writes, notices))
    return found


def in_order(looks: Sequence[Look]) -> bool:
    """Return whether nothing kept the watcher from looking for more than half a minute."""
    return all(later.at - earlier.at < timedelta(seconds=30) for earlier, later in pairwise(looks))
