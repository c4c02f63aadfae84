"""What became of a fault: the end that a daemon brought about, held to the one that the page expects, and to what it wrote for that."""

import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import msgspec

from kintsugi.decisions.incident_summary import summarize
from kintsugi.model.api_types import IncidentDetail
from kintsugi.model.records import IncidentState
from kubediagnosis.causes import CauseKind, Diagnosis
from tests.faults.beside import Beside
from tests.faults.judge import Named, expected_of, named, target_of
from tests.faults.page import NONE, Row
from tests.faults.perform import Performance
from tests.harness.audit import AuditEvent
from tests.harness.cluster import KubectlError
from tests.harness.waiting import WaitedTooLongError, wait_for

Json = Mapping[str, Any]
Write = tuple[str, str]

HEALED, HANDED_OVER, NOTIFIED = "healed", "handed over", "notified"
_DELETE, _UNDO = ("delete", "pods"), ("patch", "WORKLOAD")
_RUNGS: Mapping[str, frozenset[Write]] = {
    "restart-pod": frozenset({_DELETE}),
    "rollback-now": frozenset({_UNDO}),
    "rollback-at-deadline": frozenset({_UNDO}),
    "rollback-approved": frozenset({_UNDO}),
    "canary-restart": frozenset({("create", "pods/eviction")}),
    "raise-memory": frozenset({("patch", "pods/resize")}),
    "grow-claim": frozenset({("patch", "persistentvolumeclaims")}),
    "move-pods": frozenset({("patch", "nodes"), ("create", "pods/eviction")}),
    "scale-back": frozenset({_UNDO}),
}
"""What each rung writes; WORKLOAD is the type of the row's."""

_ONE_RESTARTED = "one pod restarted"
_TO_THE_CEILING = "the limit at most at the ceiling"
_UPSTREAM_HEALED = re.compile(r"; (?P<service>[\w-]+) healed: (?P<rung>[\w-]+)")
_REPLICAS = "spec.replicas"
_ASKED = ("rollback-approved", "scale-back")
_TOLD = frozenset({IncidentState.NEEDS_OPERATOR, IncidentState.INEFFECTIVE, IncidentState.FAILED})
_MENDED = frozenset({IncidentState.RECOVERED, IncidentState.ROLLED_BACK})


@dataclass(kw_only=True)
class Ending:
    """How one row ended, beside a daemon that may act: its incidents, its writes, and what is wrong about them."""

    made: Performance
    daemon: Beside
    before: int
    known: frozenset[str]
    beside: Sequence[Performance] = ()
    """What was made with it at a time: what is written for that is no write of this row's."""
    incidents: Sequence[Json] = ()
    writes: Sequence[Write] = ()
    problems: list[str] = field(default_factory=list)

    @property
    def row(self) -> Row:
        """Return the row."""
        return self.made.row

    @property
    def right(self) -> bool:
        """Return whether it ended as the page says, by what it says."""
        return not self.problems

    def __str__(self) -> str:
        """Return it in one line."""
        states = (
            ", ".join(f"{each['state']}: {each['reason'].splitlines()[0]}" for each in self.incidents) or "no incident"
        )
        return f"{self.row.id}: {'right' if self.right else '; '.join(self.problems)}: {states}; writes: {list(self.writes)}"

    def look(self) -> None:
        """Read how it stands."""
        every = [each for each in self.daemon.incidents() if each["service"] == self.row.service]
        self.incidents = [each for each in every if each["id"] not in self.known]
        written = self.daemon.writes()[self.before :]
        self.writes = [_write(each) for each in written if not any(_is_for(each, other) for other in self.beside)]


def watch(made: Performance, daemon: Beside, *, beside: Sequence[Performance] = ()) -> Ending:
    """Begin to look at a row that is about to be made, alone or with others."""
    known = frozenset(each["id"] for each in daemon.incidents())
    return Ending(made=made, daemon=daemon, before=len(daemon.writes()), known=known, beside=beside)


def until_good(made: Performance, daemon: Beside) -> None:
    """Wait until nothing is open, and the daemon has found the row's revision good: what it would go back to."""
    kind, _, name = made.workload.partition("/")
    uid = made.stage.cluster.get(kind, name, made.namespace)["metadata"]["uid"]

    def is_known() -> bool:
        if not all(each["closed"] for each in daemon.incidents()):
            return False
        lines = (each for each in daemon.process.log.read_text().splitlines() if "good revision noted" in each)
        return any(uid in each for each in lines)

    wait_for(is_known, within=60, every=0.5, describe=daemon.process.tail)


def conclude(ending: Ending) -> Ending:
    """Wait for the end of a row, and write down what is wrong about it."""
    kind, rung = re.split("[,;:]", ending.row.end)[0], _rung(ending.row)
    wanted = {HEALED: _MENDED, HANDED_OVER: _TOLD}.get(kind)

    def is_over() -> bool:
        ending.look()
        _agree(ending, rung)
        if kind == NOTIFIED:
            return ending.daemon.has_observed(ending.row.service)
        if wanted is None:
            return ending.made.application.complete() and not daemon_finds(ending)
        return any(each["closed"] for each in ending.incidents)

    try:
        wait_for(is_over, within=120, every=1, describe=lambda: str(ending))
    except WaitedTooLongError:
        ending.problems.append("it has no end")
    states = {IncidentState(each["state"]) for each in ending.incidents if each["closed"]}
    if wanted is not None and not states & wanted:
        ending.problems.append(f"ended {', '.join(sorted(states)) or 'not at all'} instead of {kind}")
    if wanted is None and states & (_TOLD | _MENDED):
        ending.problems.append(f"ended {', '.join(sorted(states))} and was to be {kind}")
    if wanted is not None and ending.row.cause != NONE:
        _hold_to_cause(ending)
    if kind == HEALED:
        _recovered(ending)
    if kind == HANDED_OVER:
        _try_what_is_offered(ending)
    ending.problems += wrongly_written(ending.row, ending.made.workload, ending.writes)
    return ending


def _try_what_is_offered(ending: Ending) -> None:
    """Let the API server judge each command that a person is offered, without a change; write down which it refuses."""
    for one in ending.incidents:
        detail = msgspec.convert(ending.daemon.incident(one["id"]), IncidentDetail)
        for command in summarize(detail, now=datetime.now(UTC)).next:
            if (words := without_change(command)) is None:
                continue
            try:
                ending.made.stage.cluster.kubectl(*words)
            except KubectlError as error:
                ending.problems.append(f"offered and refused: {command}: {' '.join(str(error).split())}")


def without_change(command: str) -> Sequence[str] | None:
    """
    Return the words after kubectl by which a command is judged without a change; None for another program's.

    Without a dry run of its own, the object is read: `kubectl edit` is a person's, and a restart or resume is no patch that fails.
    """
    program, *words = shlex.split(command)
    if program != "kubectl":
        return None
    if words[0] == "edit" or words[:2] in (["rollout", "restart"], ["rollout", "resume"]):
        return ["get", *words[1 if words[0] == "edit" else 2 :]]
    return [*words, "--dry-run=server"]


def _hold_to_cause(ending: Ending) -> None:
    """Write down where no diagnosis of its incidents, nor of a run's step, names the row's cause first."""
    found: set[Named] = set()
    for one in ending.incidents:
        whole = ending.daemon.incident(one["id"])
        kept = (msgspec.convert(each["diagnosis"], Diagnosis) for each in whole["diagnoses"])
        found |= {named(next(iter(each.causes), None)) for each in kept}
        steps = (step["result"] or {} for run in whole["runs"] for step in run["steps"])
        found |= {(each["cause"], each["object"], each["field"]) for each in steps if each.get("cause")}
    if expected_of(ending.row, ending.made.pod) not in found:
        said = ", ".join(" ".join(each) for each in sorted(found)) or "nothing"
        ending.problems.append(f"its incident names {said}")


def of_upstream(row: Row) -> Row | None:
    """Return the end of the upstream that a row waits for as a row of its own, None where it waits for none."""
    found = _UPSTREAM_HEALED.search(row.end)
    if found is None:
        return None
    named = (CauseKind.SCALED_TO_ZERO, row.object, row.field) if row.field == _REPLICAS else (NONE, NONE, NONE)
    cause, about, field_ = named
    return replace(
        row,
        of=f"{row.application} {found['service']}",
        cause=cause,
        object=about,
        field=field_,
        end=f"{HEALED}: {found['rung']}",
    )


def daemon_finds(ending: Ending) -> bool:
    """Return whether the daemon finds a cause for the row's workload."""
    return bool(ending.daemon.diagnose(target_of(ending.made)).causes)


def _agree(ending: Ending, rung: str) -> None:
    """Approve what is asked, where the row says that a person does."""
    if rung not in _ASKED:
        return
    process = ending.daemon.process
    for each in ending.incidents:
        if each["state"] != IncidentState.AWAITING_APPROVAL:
            continue
        for question in ending.daemon.incident(each["id"])["questions"]:
            wish = {"plan": question["plan"], "path": question["path"], "answer": "yes"}
            status, answer = process.post(f"/api/v1/incidents/{each['id']}/answer", wish)
            assert status in (HTTPStatus.OK, HTTPStatus.CONFLICT), answer


def _recovered(ending: Ending) -> None:
    """Hold what is called recovered to that: all pods are of the good template, and nothing is found wrong."""
    try:
        wait_for(
            lambda: ending.made.application.complete() and not daemon_finds(ending),
            within=30,
            describe=lambda: ending.daemon.diagnose(target_of(ending.made)),
        )
    except WaitedTooLongError:
        ending.problems.append("it is called recovered and is not")


def allowed(row: Row, workload: str) -> frozenset[Write]:
    """Return what may be written for a row's end."""
    kind, rung = f"{workload.partition('/')[0]}s", _rung(row)
    found = frozenset((verb, what.replace("WORKLOAD", kind)) for verb, what in _RUNGS.get(rung, frozenset()))
    if kind == "statefulsets" and rung.startswith("rollback"):
        found |= {_DELETE}
    if _TO_THE_CEILING in row.end:
        found |= _RUNGS["raise-memory"]
    return found | {_DELETE, *_RUNGS["canary-restart"]} if _ONE_RESTARTED in row.end else found


def wrongly_written(row: Row, workload: str, writes: Sequence[Write]) -> list[str]:
    """Return what was written and is none of the end's, what was not and is, and what was written more than once."""
    count, own = Counter(writes), allowed(row, workload)
    needed = _RUNGS.get(_rung(row), frozenset())
    missing = [each for each in own - count.keys() if each in needed or each[1] == f"{workload.partition('/')[0]}s"]
    once = (
        own & {_DELETE, *_RUNGS["canary-restart"]}
        if _rung(row) == "restart-pod" or _ONE_RESTARTED in row.end
        else set()
    )
    return [
        *(f"wrote {' '.join(each)}" for each in count if each not in own),
        *(f"did not write {' '.join(each)}" for each in missing),
        *(f"wrote {' '.join(each)} {count[each]} times" for each in once if count[each] > 1),
    ]


def _rung(row: Row) -> str:
    """Return by what a row is healed, "" where it is not."""
    kind, _, rung = re.split("[,;]", row.end)[0].partition(": ")
    return rung if kind == HEALED else ""


def _is_for(event: AuditEvent, made: Performance) -> bool:
    """Return whether a write is about the workload of a row, or a pod of that."""
    name = made.workload.partition("/")[2]
    return event.namespace == made.namespace and (event.name == name or event.name.startswith(f"{name}-"))


def _write(event: AuditEvent) -> Write:
    return event.verb, f"{event.resource}/{event.subresource}" if event.subresource else event.resource
