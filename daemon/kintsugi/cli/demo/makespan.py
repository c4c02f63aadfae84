"""The makespan of several recoveries: their time together, and the time of one after another."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSpan:
    """The run of a service, in seconds since the problem began."""

    service: str
    began: float
    ended: float

    @property
    def seconds(self) -> float:
        """Return how long it took."""
        return self.ended - self.began


@dataclass(frozen=True, kw_only=True, slots=True)
class Makespan:
    """
    Seconds: from the problem to the last end; the longest chain of runs that wait for each other; and what the whole would
    have been with one run after another.
    """

    whole: float
    critical_path: float
    one_by_one: float

    @property
    def saved(self) -> float:
        """Return how much was saved against one after another: the time in which more than one run was under way."""
        return self.one_by_one - self.whole


def makespan(spans: Collection[RunSpan], needs: Mapping[str, Collection[str]], *, whole: float) -> Makespan:
    """Measure runs; `needs` says what each service depends on."""
    overlap = sum(each.seconds for each in spans) - _covered(spans)
    return Makespan(whole=whole, critical_path=_longest(spans, needs), one_by_one=whole + overlap)


def _covered(spans: Collection[RunSpan]) -> float:
    """Return how many seconds at least one run was under way."""
    covered, until = 0.0, float("-inf")
    for each in sorted(spans, key=lambda span: span.began):
        covered += max(0.0, each.ended - max(each.began, until))
        until = max(until, each.ended)
    return covered


def _longest(spans: Collection[RunSpan], needs: Mapping[str, Collection[str]]) -> float:
    """
    Return the longest chain, of each run what comes after the end of the one before: a dependent may start once its
    upstream serves, while that is still being verified. A service without a run passes on the chain before it.
    """
    own = {each.service: each for each in spans}
    known: dict[str, float] = {}

    def path(service: str) -> float:
        if service not in known:
            known[service] = 0.0  # a ring is refused when documents are loaded; here it must only end
            known[service] = max((path(each) + after(service, each) for each in needs.get(service, ())), default=0.0)
            known[service] = max(known[service], own[service].seconds if service in own else 0.0)
        return known[service]

    def after(service: str, upstream: str) -> float:
        if service not in own:
            return 0.0
        ended = own[upstream].ended if upstream in own else own[service].began
        return max(0.0, own[service].ended - max(own[service].began, ended))

    return max(map(path, {*own, *needs}), default=0.0)
