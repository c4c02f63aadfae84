"""Several pods that are deleted at once: never more than the share of the service; the rest when the first are back (P7)."""

from datetime import timedelta

import pytest

from kintsugi.model.records import IncidentState
from tests.unit.factories import pod
from tests.unit.runner.bench import RunBench, clock

pytestmark = pytest.mark.looptime

NAMES = tuple(f"web-{number}" for number in range(4))
EACH = "- {id: restart, forEach: service.pods, maxParallel: 4, run: 'kubectl delete pod ${each}'}"
LISTED = f"- {{id: restart, run: kubectl delete pod {' '.join(NAMES)}}}"


class Deployment:
    """
    The pods of web: one that is deleted is seen to be gone after 5 s, and its successor to be ready after 30 s.

    `serving` counts what truly serves, `fewest` is the least that there ever was.
    """

    def __init__(self, bench: RunBench, *, successors: bool = True) -> None:
        self.bench = bench
        self.successors = successors
        self.shown = {name: pod(name) for name in NAMES}
        self.serving = self.fewest = len(self.shown)
        self.deleted: list[str] = []
        bench.found = tuple(self.shown.values())
        bench.at(0, lambda: bench.observed.show(desired=len(NAMES), ready=len(NAMES), healthy=False))
        bench.at_each_change(lambda text: self.delete(text.split()[3]))

    def delete(self, name: str) -> None:
        """Delete a pod."""
        self.deleted.append(name)
        self.serving -= self.shown[name].status.conditions[0].status == "True"
        self.fewest = min(self.fewest, self.serving)
        self.bench.at(clock() + 5, lambda: self._see(name, ready=False))
        if self.successors:
            self.bench.at(clock() + 30, lambda: self._see(name, ready=True))

    def _see(self, name: str, *, ready: bool) -> None:
        new = f"{name}-again"
        self.shown.pop(name, None)
        self.shown[new] = pod(new, ready=ready)
        self.serving += ready
        seen = tuple(self.shown.values())
        well = len(self.deleted) == len(NAMES) and self.serving == len(NAMES)
        self.bench.observed.show(pods=seen, ready=self.serving, healthy=well)
        if well:
            self.bench.resolve()


@pytest.mark.parametrize("steps", [EACH, LISTED], ids=["for each", "in one command"])
async def test_no_more_than_the_share_of_the_pods_is_down_at_once_and_the_rest_go_when_the_first_are_back(
    steps: str,
) -> None:
    bench = RunBench(steps)
    there = Deployment(bench)
    times = bench.note_times()
    ended = await bench.drive()
    assert there.fewest == 2, "half of four"
    assert there.deleted == list(NAMES), "in the order in which they are listed"
    assert sorted(times.values()) == [0, 0, pytest.approx(30, abs=2), pytest.approx(30, abs=2)]
    assert ended.state is IncidentState.RECOVERED


async def test_the_other_pods_stay_and_the_deadline_ends_the_run_where_the_first_do_not_come_back() -> None:
    bench = RunBench(EACH, rollback="after: 10m")
    there = Deployment(bench, successors=False)
    ended = await bench.drive()
    assert (there.fewest, there.deleted) == (2, ["web-0", "web-1"])
    assert ended.state is IncidentState.NEEDS_OPERATOR


@pytest.mark.parametrize("steps", [EACH, LISTED], ids=["for each", "in one command"])
async def test_pods_that_are_all_down_are_deleted_without_waiting(steps: str) -> None:
    bench = RunBench(steps)
    there = Deployment(bench)
    there.shown = {name: pod(name, ready=False) for name in NAMES}
    there.serving = there.fewest = 0
    bench.found = tuple(there.shown.values())
    await bench.drive()
    assert there.deleted == list(NAMES)
    assert bench.ledger.record.steps_finished_at is not None
    assert (bench.ledger.record.steps_finished_at - bench.ledger.record.started).total_seconds() < 5


@pytest.mark.parametrize(
    "steps", [EACH.replace("maxParallel: 4", "maxParallel: 1"), LISTED], ids=["for each", "in one command"]
)
async def test_pods_that_do_not_serve_go_first_so_that_none_waits_for_one_that_is_deleted_after_it(steps: str) -> None:
    """web-0 serves and may not go while two others are down; they come back only when they are deleted."""
    bench = RunBench(steps)
    there = Deployment(bench)
    for name in ("web-2", "web-3"):
        there.shown[name] = pod(name, ready=False)
    there.serving = there.fewest = 2
    bench.found = tuple(there.shown.values())
    ended = await bench.drive()
    assert there.deleted == ["web-2", "web-3", "web-0", "web-1"]
    assert there.fewest == 2
    assert ended.state is IncidentState.RECOVERED


async def test_a_pod_that_has_come_since_the_last_look_waits_until_it_is_seen() -> None:
    """Whether it serves is not known: its uid is not among those that are seen."""
    bench = RunBench("- {id: restart, run: kubectl delete pod web-2}", heals="kubectl delete")
    bench.found = (pod("web-1"), pod("web-2", ready=False, uid="uid-of-the-last"), pod("web-3"))
    times = bench.note_times()
    bench.at(60, lambda: bench.observed.show(pods=(pod("web-1"), pod("web-2", ready=False), pod("web-3"))))
    await bench.drive()
    assert list(times.values()) == [pytest.approx(60, abs=timedelta(seconds=11).total_seconds())]
