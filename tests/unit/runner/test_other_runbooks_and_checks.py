"""A runbook runs another one, on its own service or on another; the checks of a service are steps that only look."""

import pytest

from kintsugi.model.records import IncidentState
from tests.unit.factories import runbook_text, service_text
from tests.unit.runner.bench import RunBench

pytestmark = pytest.mark.looptime

API = service_text("api", namespace="backend", more="parameters: {replicas: 7}")
CHILD = runbook_text(
    """\
    - {id: look, run: kubectl get pods}
    - {id: scale, run: "kubectl scale ${service.workload} --replicas=${params.replicas}", when: steps.look.ran}
    """,
    name="child",
    more="parameters: {replicas: {type: integer, default: 5}}",
)


async def test_a_child_works_on_its_callers_service() -> None:
    bench = RunBench("- {id: child, runbook: child}", documents=(CHILD,), heals="kubectl scale")
    ended = await bench.drive()
    assert bench.effects == ["kubectl scale deployment web --replicas=5 -n production"]
    assert bench.has("child/scale#0")
    assert ended.state is IncidentState.RECOVERED


async def test_a_child_is_given_the_parameters_of_the_service_that_it_works_on() -> None:
    bench = RunBench("- {id: child, runbook: child, service: api}", documents=(CHILD, API), heals="kubectl scale")
    await bench.drive()
    assert bench.effects == ["kubectl scale deployment api --replicas=7 -n backend"]


async def test_a_child_that_names_its_service_works_on_that() -> None:
    named = CHILD.replace("title: Mend it", "title: Mend the API\n  service: api")
    bench = RunBench("- {id: child, runbook: child}", documents=(named, API), heals="kubectl scale")
    await bench.drive()
    assert bench.effects == ["kubectl scale deployment api --replicas=7 -n backend"]


async def test_a_child_that_stops_stops_its_parent() -> None:
    child = runbook_text("- {id: look, run: kubectl get pods, expect: size(items) > 5}", name="child")
    bench = RunBench("- {id: child, runbook: child}\n- {id: after, run: kubectl get nodes}", documents=(child,))
    bench.at(30, bench.heal)
    await bench.drive()
    assert bench.ledger.moves[0][1].startswith("stopped at child/look")
    assert not bench.has("after")


async def test_steps_of_parent_and_child_may_have_the_same_ids() -> None:
    child = runbook_text("- {id: look, run: kubectl get nodes}", name="child")
    bench = RunBench("- {id: look, run: kubectl get pods}\n- {id: child, runbook: child}", documents=(child,))
    bench.at(30, bench.heal)
    await bench.drive()
    assert [text.split()[2] for _, text in bench.prober.looked] == ["pods", "node"] or bench.has("child/look")
    assert bench.has("look")
    assert bench.has("child/look")


CHECKS = """\
checks:
  smoke:
    - {id: answers, run: "curl http://web.production/health", expect: status == 200, within: 10s}
    - {id: pods, run: kubectl get pods, expect: size(items) > 0}
"""


async def test_checks_are_the_services_own_steps() -> None:
    bench = RunBench("- {id: smoke, checks: smoke}\n- {id: after, run: kubectl get nodes}", service=CHECKS)
    bench.prober.will("curl", lambda: {"status": 200})
    bench.at(30, bench.heal)
    await bench.drive()
    assert bench.has("smoke/answers")
    assert bench.has("smoke/pods")
    assert bench.has("after")


async def test_a_check_that_is_not_met_stops_the_run() -> None:
    bench = RunBench("- {id: smoke, checks: smoke}\n- {id: after, run: kubectl get nodes}", service=CHECKS)
    bench.prober.will("curl", lambda: {"status": 503})
    bench.at(30, bench.heal)
    await bench.drive()
    assert bench.ledger.moves[0][1].startswith("stopped at smoke/answers: not met")
    assert not bench.has("after")


async def test_checks_of_each_service_are_asked_of_that_service() -> None:
    api = service_text(
        "api",
        namespace="backend",
        more="checks: {smoke: [{id: pods, run: kubectl get pods, expect: size(items) > 0}]}",
    )
    bench = RunBench(
        "- {id: all, forEach: services, service: '${each.name}', checks: smoke}", service=CHECKS, documents=(api,)
    )
    bench.prober.will("curl", lambda: {"status": 200})
    bench.at(30, bench.heal)
    await bench.drive()
    texts = sorted(text for _, text in bench.prober.looked)
    assert texts == [
        "curl http://web.production/health",
        "kubectl get pods -n backend",
        "kubectl get pods -n production",
    ]
