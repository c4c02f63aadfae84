"""A look is made for its step and its service: their Secrets, their namespace, the patterns of the step's scan."""

from datetime import timedelta

import pytest

from kintsugi.actions.result import Result
from kintsugi.model.records import IncidentState
from kintsugi.model.remedies import RemedyKind
from kintsugi.model.services import SecretRef
from tests.unit.runner.bench import RunBench, clock

pytestmark = pytest.mark.looptime

PATTERNS = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Patterns
metadata: {name: web-log}
spec:
  - {match: 'out of memory', means: memory, severity: critical}
"""
SCAN = """\
- {id: logs, run: kubectl logs -f deployment/web, scan: web-log, expect: "!findings.exists(f, f.means == 'memory')", for: 20s}
- {id: look, run: kubectl get pods, expect: size(items) > 0}
- {id: wait, expect: service.healthy, within: 1m}
"""
ENV = "env:\n  PGPASSWORD: {secret: web-credentials, key: password}\n"


async def test_a_scan_carries_its_patterns_and_every_look_its_service_s_secrets() -> None:
    bench = RunBench(SCAN, service=ENV, documents=(PATTERNS,))
    bench.prober.will("kubectl logs", lambda: Result(names={"lines": [], "sources": [], "findings": []}, summary=""))
    bench.at(60, bench.heal)
    assert (await bench.drive()).state is IncidentState.NO_ACTION
    followed, *_, looked = bench.prober.askers
    assert [pattern.means for pattern in followed.patterns] == ["memory"]
    assert looked.patterns == ()
    assert {each.namespace for each in bench.prober.askers} == {"production"}
    assert followed.env == looked.env == {"PGPASSWORD": SecretRef(secret="web-credentials", key="password")}


async def test_a_log_is_followed_as_long_as_its_expectation_must_hold() -> None:
    bench = RunBench(SCAN, documents=(PATTERNS,))
    bench.prober.will("kubectl logs", lambda: Result(names={"lines": [], "sources": [], "findings": []}, summary=""))
    bench.at(60, bench.heal)
    await bench.drive()
    assert bench.prober.deadlines[0] == timedelta(seconds=20)


async def test_a_hand_over_says_where_the_steps_stopped() -> None:
    """The person who is called reads why; and at once: where nothing is taken back, the deadline brings nothing more."""
    bench = RunBench("- {id: sound, expect: service.ready > 99}", rollback="after: 6h\nthen: leave\n")
    ended = await bench.drive()
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert "web is not healthy, and no further action is available; stopped at sound: not met" in ended.reason
    assert clock() == pytest.approx(3 * 60, abs=2)


async def test_a_diagnosis_knows_what_was_tried_and_of_which_workload_the_service_is() -> None:
    steps = "- {id: cause, run: kintsugi diagnose deployment/web}\n- {id: look, run: kubectl get pods}\n"
    bench = RunBench(steps + "- {id: wait, expect: service.healthy, within: 1m}")
    bench.tried = frozenset({RemedyKind.RESTART_CANARY})
    bench.at(60, bench.heal)
    await bench.drive()
    diagnosing, looking, *_ = bench.prober.askers
    assert diagnosing.seen.tried == {RemedyKind.RESTART_CANARY}
    assert looking.seen.tried == frozenset()
    assert (diagnosing.service, diagnosing.seen.reference) == ("web", "deployment/web")
