"""The shipped full-stack runbook says what its page says, only looks itself, and each of its names has a value on real views."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from kintsugi.catalog import load, shipped_paths
from kintsugi.catalog.call_graph import steps_of
from kintsugi.errors import EvaluationError
from kintsugi.expressions import Bindings
from kintsugi.model.catalog import Catalog
from kintsugi.model.runbooks import RollbackThen, Run, Runbook, RunRunbook, Step
from kintsugi.model.views import ServiceView, SocketAddress
from kintsugi.scope.values import EvaluationContext, shown_view, step_names
from kubeobjects.kept import PersistentVolumeClaim
from tests.unit.catalog.documents import answer
from tests.unit.factories import NOW, view


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load(shipped_paths())


@pytest.fixture(scope="module")
def runbook(catalog: Catalog) -> Runbook:
    return catalog.runbooks["full-stack-recovery"]


@pytest.fixture(scope="module")
def steps(runbook: Runbook) -> Mapping[str, Step]:
    return {step.id: step for step, _ in steps_of(runbook)}


def test_the_runbook_has_the_checks_of_the_page_before_the_four_phases_in_their_order(runbook: Runbook) -> None:
    before, *phases = (step.name for step in runbook.steps)
    assert before == "Checks before recovery"
    assert phases == [
        f"Phase {number}: {what}"
        for number, what in enumerate(("infrastructure", "data", "applications", "verification"), 1)
    ]
    lines = [step.do.command.source for step, _ in steps_of(runbook) if isinstance(step.do, Run)]
    assert lines[:3] == [
        "kubectl get nodes",
        "kubectl top nodes",
        "kubectl get events -A --sort-by=.metadata.creationTimestamp",
    ]


def test_the_runbook_s_own_steps_only_look_and_changes_are_made_by_runbooks_of_services(runbook: Runbook) -> None:
    changing = [step.id for step, _ in steps_of(runbook) if isinstance(step.do, Run) and step.do.command.changes]
    assert changing == []
    children = {
        step.id: (step.service.source if step.service else "", step.do.runbook)
        for step, _ in steps_of(runbook)
        if isinstance(step.do, RunRunbook)
    }
    assert children == {
        "database_at_zero": ("database", "start-service"),
        "database": ("database", "database-recovery"),
        "cache_at_zero": ("cache-service", "start-service"),
        "cache": ("cache-service", "cache-recovery"),
        "backend_at_zero": ("api-service", "start-service"),
        "backend": ("api-service", "workload-recovery"),
        "web_at_zero": ("web-service", "start-service"),
        "web": ("web-service", "web-service-recovery"),
        "ingress_at_zero": ("ingress-controller", "start-service"),
        "ingress": ("ingress-controller", "workload-recovery"),
    }


def test_a_service_that_recovered_is_left_when_the_run_s_time_is_over(runbook: Runbook) -> None:
    assert (runbook.rollback.then, runbook.rollback.steps) == (RollbackThen.LEAVE, ())


def views(catalog: Catalog, *, healthy: bool | None = True) -> Mapping[str, ServiceView]:
    """Make a view of each service: the database is headless, the others have a cluster IP."""
    made = {}
    for name, service in catalog.services.items():
        headless = name == "database"
        made[name] = replace(
            view(service, healthy=healthy),
            cluster_ip="None" if headless else f"10.0.0.{service.priority}",
            host=f"{name}.{service.namespace}.svc",
            addresses=(SocketAddress(host=f"10.{int(headless)}.0.{service.priority}", port=80),),
        )
    return made


def names(shown: Mapping[str, ServiceView], *, prometheus: str = "", **own: object) -> Bindings:
    """Return what a step sees that works on all services."""
    return step_names(EvaluationContext(now=NOW, services=shown, prometheus=prometheus), own=own)


MENDED = ("database", "cache", "backend", "web", "ingress")


@pytest.mark.parametrize("step", MENDED)
@pytest.mark.parametrize(("healthy", "left_out"), [(True, True), (False, False), (None, False)])
def test_a_service_that_is_known_to_be_well_is_left_alone_and_no_other(
    catalog: Catalog, steps: Mapping[str, Step], step: str, healthy: bool | None, left_out: bool
) -> None:
    """What is not known is looked at by its own runbook, which does nothing on doubt (P6)."""
    assert answer(steps[step].unless, names(views(catalog, healthy=healthy))) is left_out


def looped(step: Step, shown: Mapping[str, ServiceView], **around: Any) -> Iterator[Any]:
    """Return the items of a step."""
    items = answer(step.for_each, step_names(EvaluationContext(now=NOW, services=shown), **around))
    assert isinstance(items, list)
    yield from items


def slice_of(service: str, *, ready: bool) -> Mapping[str, object]:
    """Make an EndpointSlice as the API has it."""
    return {
        "metadata": {"uid": f"uid-{service}", "namespace": "production"},
        "endpoints": [{"addresses": ["10.1.0.1"], "conditions": {"ready": ready}}],
    }


@pytest.mark.parametrize(
    ("ready", "missing", "met"),
    [
        ({"database": True, "cache-service": True, "api-service": True}, "", True),
        ({"database": True, "cache-service": True, "api-service": False}, "", False),
        ({"database": True, "cache-service": True}, "", False),
        ({"database": True, "cache-service": True}, "api-service", True),
    ],
)
def test_discovery_asks_for_ready_addresses_of_all_that_front_ends_need(
    catalog: Catalog, steps: Mapping[str, Step], ready: Mapping[str, bool], missing: str, met: bool
) -> None:
    """A service without a Kubernetes Service is discovered by nobody; those of the front ends are not up yet."""
    shown = dict(views(catalog))
    if missing:
        shown[missing] = replace(shown[missing], host="")
    owned = [{**shown_view(each), "owns": [f"uid-{name}"]} for name, each in shown.items()]
    items = [slice_of(service, ready=each) for service, each in ready.items()]
    seen = {**names(shown, items=items), "services": owned}
    assert answer(steps["endpoints"].expect, seen) is met
    assert answer(steps["endpoints"].keep, seen) == items


@pytest.mark.parametrize(
    ("told", "met"),
    [(["10.0.0.3"], True), (["10.0.0.3", "fd00::3"], True), (["10.0.0.9"], False)],
)
def test_dns_must_name_where_the_service_is(
    catalog: Catalog, steps: Mapping[str, Step], told: list[str], met: bool
) -> None:
    shown = views(catalog)
    asked = steps["answers"]
    hosts = [each["host"] for each in looped(asked, shown)]
    assert hosts == ["api-service.production.svc", "cache-service.production.svc", "database.production.svc"]
    seen = step_names(
        EvaluationContext(now=NOW, services=shown), each=shown_view(shown["api-service"]), own={"addresses": told}
    )
    assert answer(asked.expect, seen) is met


CLAIM = msgspec.convert(
    {"metadata": {"name": "data-database-0", "namespace": "production"}, "status": {"phase": "Bound"}},
    PersistentVolumeClaim,
)


def measured(claim: str, **value: float) -> Mapping[str, object]:
    """Make a sample."""
    return {"labels": {"persistentvolumeclaim": claim}, "text": "", **value}


@pytest.mark.parametrize(
    ("samples", "met"),
    [
        ([measured("data-database-0", value=0.3)], True),
        ([measured("data-database-0", value=0.01)], False),
        ([measured("another", value=0.3)], False),
        ([measured("another"), measured("data-database-0", value=0.3)], True),
        ([measured("data-database-0")], None),
        ([], False),
    ],
    ids=["room", "full", "not measured", "another is NaN", "NaN", "nothing"],
)
def test_a_volume_has_room_where_prometheus_says_so(
    catalog: Catalog, steps: Mapping[str, Step], samples: list[Mapping[str, object]], met: bool | None
) -> None:
    """P6: a claim that nobody measures has no room that anybody knows of; what has no answer is not met."""
    shown = dict(views(catalog))
    shown["database"] = replace(shown["database"], pvcs=(CLAIM,))
    space = steps["space"]
    (each,) = looped(space, shown)
    seen = step_names(EvaluationContext(now=NOW, services=shown), each=each, own={"samples": samples})
    if met is None:
        with pytest.raises(EvaluationError, match="absent"):
            answer(space.expect, seen)
    else:
        assert answer(space.expect, seen) is met


def test_the_stack_is_well_when_every_service_is_known_to_be(catalog: Catalog, steps: Mapping[str, Step]) -> None:
    expect = steps["health"].expect
    assert answer(expect, names(views(catalog))) is True
    assert answer(expect, names(views(catalog, healthy=False))) is False
    with pytest.raises(EvaluationError, match="absent"):
        answer(expect, names(views(catalog, healthy=None)))


@pytest.mark.parametrize(
    ("down", "at_zero", "starts"),
    [
        (["web-service"], [], False),
        (["database", "cache-service"], [], True),
        (["database", "api-service", "web-service", "ingress-controller"], [], False),
        (["database", "cache-service", "api-service", "web-service"], [], True),
        (["cache-service", "web-service"], [], True),
        (["cache-service", "web-service"], ["api-service"], False),
        (["api-service", "web-service"], ["database"], False),
    ],
)
def test_the_stack_is_recovered_when_two_services_are_down_that_no_upstream_explains(
    catalog: Catalog, down: list[str], at_zero: list[str], starts: bool
) -> None:
    """One that somebody has scaled to 0 explains its dependents, as it does where they are held."""
    shown = dict(views(catalog))
    shown |= {name: replace(shown[name], ready=0, healthy=False) for name in down}
    shown |= {name: replace(shown[name], ready=0, desired=0) for name in at_zero}
    assert answer(catalog.rules["several-services-down"].when, names(shown)) is starts
