"""A probe: its context, which are all facts besides the command on which its answer may depend, its result, and its port."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from kintsugi.actions.workload_reads import ServiceFacts
from kintsugi.model.command import Command
from kintsugi.model.history import RunRemedies
from kintsugi.model.hosts import PodAddress
from kintsugi.model.records import Target
from kintsugi.model.runbooks import Pattern
from kintsugi.model.services import NOTHING_ALLOWED, MaxAllowed, SecretRef


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """
    The result of a probe or a change.

    `names` are the result columns of the command's row in the grammar. `summary` is one line. `failed` is the message of the tool
    when it ends with a failure (`rollout status` that timed out, a closed port, `curl -f` on a 503): a step without an
    expectation is then not met. Empty: it succeeded.
    """

    names: Mapping[str, object]
    summary: str
    failed: str = ""


def of_objects(items: Sequence[Mapping[str, object]], *, named: int, summary: str, failed: str = "") -> Result:
    """Return the result of a command on objects: `items`, and `item` when one was named and exists."""
    names: dict[str, object] = {"items": list(items)}
    if named == 1 and items:
        names["item"] = items[0]
    return Result(names=names, summary=summary, failed=failed)


@dataclass(frozen=True, kw_only=True, slots=True)
class PodAnswer:
    """
    The answer of one pod to its service's checks. `met` is None where no check asks a single pod; `text` is the answer,
    or the reason for none.
    """

    met: bool | None
    text: str = ""


class PodChecks(Protocol):
    """The port that runs the checks of a service on one of its pods; `sources.Checks` implements it."""

    async def ask_pod(self, service: str, pod: PodAddress) -> PodAnswer:
        """Return what one pod answers. Raises ResolverFailed where the cluster's names do not resolve here."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnWorkload:
    """
    The daemon's facts about the service's own workload, `reference` (TYPE/NAME, "" for none).

    `replicas` and `rests` are as in a view; `max_allowed` is the service's; `tried` is what its
    recent runs have tried, the newest first.
    """

    reference: str = ""
    replicas: int | None = None
    rests: str = ""
    tried: tuple[RunRemedies, ...] = ()
    max_allowed: MaxAllowed = NOTHING_ALLOWED


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeContext:
    """
    The step and the `service` behind a probe.

    `env` are the service's Secrets, in its `namespace`. `good` are the pod templates known to be good, `adopted`
    those of them that were adopted; `none_good` says why there are none, "" where there are or that is not known. `patterns` are
    those for which the lines of a log are scanned; empty: they are not scanned. `upstream` names an upstream that is
    not well, "" for none. `now` is the time by the daemon's own clock, None without one. `seen` are the daemon's facts
    about the service's own workload, `declared` returns those about any that its objects do not show; `checks` asks a single pod, None where that is not possible.
    """

    namespace: str = ""
    env: Mapping[str, SecretRef] = field(default_factory=dict)
    good: frozenset[str] = frozenset()
    adopted: frozenset[str] = frozenset()
    none_good: str = ""
    patterns: tuple[Pattern, ...] = ()
    upstream: str = ""
    now: datetime | None = None
    service: str = ""
    seen: OwnWorkload = field(default_factory=OwnWorkload)
    declared: Callable[[Target], ServiceFacts] = lambda _: ServiceFacts()
    checks: PodChecks | None = None

    def seen_of(self, reference: str, namespace: str) -> OwnWorkload:
        """Return what is known of a workload: something only of the service's own."""
        return self.seen if (reference, namespace) == (self.seen.reference, self.namespace) else OwnWorkload()


ANONYMOUS_PROBE = ProbeContext()


class Prober(Protocol):
    """The port for commands that only look; `actions.Actions` implements it."""

    async def read(
        self, command: Command, *, deadline: timedelta, probe_context: ProbeContext = ANONYMOUS_PROBE
    ) -> Result:
        """Return the result of a command. Raises KubeError, ProbeFailed, Refused, CommandError."""
        ...
