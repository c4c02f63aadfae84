"""What the cache's runbooks do and leave alone, by what they have seen."""

from dataclasses import replace

import pytest

from kintsugi.actions import scan
from kintsugi.catalog import load, shipped_paths
from kintsugi.model.catalog import Catalog
from kintsugi.model.runbooks import OnFailure, RollbackThen, Run, Step
from kintsugi.scope.values import EvaluationContext, StepOutcome, step_names
from tests.unit.factories import NOW, view

# Word for word what Redis 7.0 writes: of a dump with a turned bit, of half a dump, of a whole one.
TURNED = (
    "1:M 26 Nov 2026 16:20:00.210 * Loading RDB produced by version 7.0.15",
    "1:M 26 Nov 2026 16:20:00.214 # Wrong RDB checksum expected: (73544a6fe1fb08a7) but got (b79bdad3339ec6a9). Aborting now.",
    "--- RDB ERROR DETECTED ---",
)
HALF = (
    "1:M 26 Nov 2026 16:20:00.442 # Short read or OOM loading DB. Unrecoverable error, aborting now.",
    "--- RDB ERROR DETECTED ---",
)
NO_MEMORY = ("1:M 26 Nov 2026 16:20:00.442 # Short read or OOM loading DB. Unrecoverable error, aborting now.",)
WHOLE = (
    "1:M 26 Nov 2026 16:19:34.144 * Loading RDB produced by version 7.0.15",
    "1:M 26 Nov 2026 16:19:34.144 * DB loaded from disk: 0.000 seconds",
)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load(shipped_paths())


def step_of(catalog: Catalog, name: str) -> Step:
    return next(step for step in catalog.runbooks["cache-recovery"].steps if step.id == name)


@pytest.mark.parametrize(
    ("lines", "broken"), [(TURNED, True), (HALF, True), (NO_MEMORY, False), (WHOLE, False)], ids=str
)
def test_only_what_redis_has_read_twice_calls_a_dump_broken(
    catalog: Catalog, lines: tuple[str, ...], broken: bool
) -> None:
    """P6: a short read alone may be for want of memory."""
    found = scan.find(lines, ["cache-0"] * len(lines), step_of(catalog, "logs").scan.patterns)  # type: ignore[union-attr]
    assert any(each["means"] == "corruption" for each in found) is broken


@pytest.mark.parametrize(
    ("second", "ready", "expendable", "asked"),
    [(True, 0, True, True), (False, 0, True, False), (True, 1, True, False), (True, 0, False, False)],
)
def test_a_person_is_asked_only_where_the_dump_is_surely_broken_nothing_answers_and_it_can_be_made_again(
    catalog: Catalog, second: bool, ready: int, expendable: bool, asked: bool
) -> None:
    """P6: never on one start, never while a pod still has the data, never without the author's word."""
    anew = step_of(catalog, "anew").when
    assert anew is not None
    service = replace(catalog.services["cache-service"], expendable=expendable)
    around = EvaluationContext(now=NOW, service=view(service, ready=ready))
    earlier = {"second": StepOutcome(ran=True, met=second, result={"starts": []})}
    assert anew.evaluate(step_names(around, earlier=earlier)) is asked


def test_no_object_is_touched_before_a_person_agrees_and_none_is_stopped_before_the_volumes_are_kept(
    catalog: Catalog,
) -> None:
    reset = catalog.runbooks["cache-reset"]
    ids = [step.id for step in reset.steps]
    changing = [step.id for step in reset.steps if isinstance(step.do, Run) and step.do.command.changes]
    assert ids[:2] == ["allowed", "agreed"]
    assert changing == ["keep", "retain", "stop", "mark", "claim", "start"]
    assert reset.rollback.then is RollbackThen.LEAVE


def test_only_the_reset_of_the_cache_is_completed_once_begun(catalog: Catalog) -> None:
    assert catalog.runbooks["cache-reset"].complete_once_begun
    assert not catalog.runbooks["cache-recovery"].complete_once_begun
    assert not catalog.runbooks["workload-recovery"].complete_once_begun


@pytest.mark.parametrize(
    ("keys", "known", "anew", "asked", "met"),
    [
        ("500", {"keys": 1000}, False, ("share",), True),
        ("499", {"keys": 1000}, False, ("share",), False),
        ("0", {"keys": 1000}, True, (), True),
        ("0", {}, False, ("unmeasured",), True),
    ],
    ids=["half", "less than half", "begun anew", "nothing to measure by"],
)
def test_the_keys_that_are_back_are_measured_by_the_last_good_look(
    catalog: Catalog, keys: str, known: dict[str, int], anew: bool, asked: tuple[str, ...], met: bool
) -> None:
    """Where there is none that is said, and the fewest that are wanted alone count."""
    service = replace(view(catalog.services["cache-service"], ready=1), counts=known)
    earlier = {
        "anew": StepOutcome(ran=anew, met=anew),
        "keys": StepOutcome(ran=True, met=True, result={"lines": [keys]}),
    }
    around = EvaluationContext(now=NOW, service=service, parameters={"share_of_keys": 0.5, "fewest_keys": 0})
    names = step_names(around, earlier=earlier)
    wanted = [step_of(catalog, each) for each in ("share", "unmeasured")]
    assert tuple(each.id for each in wanted if each.when and each.when.evaluate(names)) == asked
    assert all(each.expect and each.expect.evaluate(names) is met for each in wanted if each.id in asked)
    assert {step_of(catalog, each).on_failure for each in ("keys", "share")} == {OnFailure.ESCALATE}
