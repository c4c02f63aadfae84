"""The steps of a run: one after another or together, in groups and other runbooks, and what follows when one is not met."""

from datetime import timedelta

import pytest

from kintsugi.errors import Forbidden, Refused
from kintsugi.mask import MASK
from kintsugi.model.records import IncidentState, Phase, StepState
from kintsugi.model.rules import RuleSource
from tests.unit.executor.scripted_actor import Lost
from tests.unit.factories import moment, pod, runbook_text, service_text, signal
from tests.unit.runner.bench import SCALE, RunBench, clock, driven

pytestmark = pytest.mark.looptime

WHOLE = """\
- {id: look, run: kubectl get pods, expect: size(items) > 0}
- {id: scale, run: kubectl scale deployment/web --replicas=5, expect: service.ready >= service.desired, within: 1m}
- {id: wait, expect: service.healthy, within: 1m, for: 10s}
"""
SIX = "- {id: look, run: kubectl get pods, expect: size(items) > 5}\n"
AFTER = "- {id: after, run: kubectl get nodes}\n"


async def test_a_run_walks_its_steps_is_watched_and_recovers_when_health_has_lasted() -> None:
    """Every record has its moment of the injected clock."""
    bench = await driven(WHOLE, heals="kubectl scale")
    ended = bench.ledger.record
    assert bench.ended == (IncidentState.RECOVERED, [SCALE])
    assert bench.states == [IncidentState.VERIFYING, IncidentState.RECOVERED]
    assert [line for line in bench.power.story if not line.startswith("marks ")] == [
        "look done",
        "scale planned",
        "scale#0 intent",
        f"effect {SCALE}",
        "scale#0 done",
        "scale done",
        "wait planned",
        "wait done",
        "run verifying",
        "run recovered",
    ]
    assert ended.finished == moment(seconds=clock())
    assert ended.steps_finished_at is not None
    assert ended.finished - ended.steps_finished_at >= timedelta(minutes=2)
    assert bench.step("scale#0", Phase.FORWARD).started == moment()


@pytest.mark.parametrize(
    ("unmet", "states", "goes_on"),
    [
        ("stop", [IncidentState.VERIFYING, IncidentState.NO_ACTION], False),
        ("continue", [IncidentState.VERIFYING, IncidentState.NO_ACTION], True),
        ("rollback", [IncidentState.ROLLING_BACK, IncidentState.NEEDS_OPERATOR], False),
    ],
)
async def test_on_failure_decides_what_follows_an_unmet_expectation(
    unmet: str, states: list[IncidentState], goes_on: bool
) -> None:
    bench = await driven(SIX.replace("> 5", f"> 5, onFailure: {unmet}") + AFTER, healed_at=30)
    assert (bench.states, bench.has("after")) == (states, goes_on)
    assert (bench.step("look").met, bench.step("look").error) == (False, "not met: size(items) > 5")


@pytest.mark.parametrize("expect", ["size(items) > 9", "items[9].metadata.name == 'web'"], ids=["not met", "no answer"])
async def test_a_step_may_call_a_person_however_well_the_service_looks(expect: str) -> None:
    """P6: what stops a walk is judged by the service's health, and that may be well by then."""
    for unmet, state in (("escalate", IncidentState.NEEDS_OPERATOR), ("stop", IncidentState.NO_ACTION)):
        step = f'- {{id: few, run: kubectl get pods, expect: "{expect}", onFailure: {unmet}}}'
        assert (await driven(step, healed_at=0)).state is state


CHILD = runbook_text(
    """\
    - {id: look, run: kubectl get pods}
    - {id: scale, run: "kubectl scale ${service.workload} --replicas=${params.replicas}", when: steps.look.ran}
    """,
    name="child",
    more="parameters: {replicas: {type: integer, default: 5}}",
)
STOPPING = runbook_text(SIX, name="child")
CHECKS = """\
checks:
  smoke:
    - {id: answers, run: "curl http://web.production/health", expect: status == 200, within: 10s}
    - {id: pods, run: kubectl get pods, expect: size(items) > 0}
"""


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        (SIX, "look: not met"),
        (SIX.replace("look,", "look, name: There are six pods,"), "look: There are six pods: not met"),
        *(
            (
                f"- {{id: look, run: {SCALE}, {key}: 'service.pods[9].spec.nodeName == \"a\"'}}\n",
                "look: its `when` or `unless` cannot be evaluated",
            )
            for key in ("when", "unless")
        ),
        ('- {id: look, run: "kubectl cordon ${service.pods[9].spec.nodeName}"}\n', "look: "),
        (
            "- {id: look, forEach: 'service.pods[9].spec.containers', run: kubectl cordon a}\n",
            "look: its list cannot be evaluated",
        ),
        ("- {id: child, runbook: child}\n", "child/look"),
        ("- {id: smoke, checks: smoke}\n", "smoke/answers: not met"),
    ],
)
async def test_a_stop_says_where_and_why_in_the_runbook_s_own_words_and_nothing_more_is_done(
    steps: str, why: str
) -> None:
    """P6: a question that could not be answered is no reason to act, and no command goes out without its values."""
    answers = {"curl": {"status": 503}}
    bench = await driven(steps + AFTER, healed_at=30, documents=(STOPPING,), service=CHECKS, answers=answers)
    assert bench.ended == (IncidentState.NO_ACTION, [])
    assert bench.stopped.startswith(f"stopped at {why}")
    assert not bench.has("after")


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        ("when: service.ready < 3", True),
        ("when: service.ready == 3", False),
        ("unless: service.ready == 3", True),
        ("unless: service.ready < 3", False),
    ],
)
async def test_when_and_unless_leave_a_step_out(condition: str, wanted: bool) -> None:
    after = "- {id: after, run: kubectl get pods, when: steps.scale.ran}"
    bench = await driven(f"- {{id: scale, run: {SCALE}, {condition}}}\n{after}", healed_at=30)
    assert bench.effects == ([SCALE] if wanted else [])
    for step in ("scale", "after"):
        assert bench.step(step).state is (StepState.DONE if wanted else StepState.SKIPPED)


@pytest.mark.parametrize(
    ("more", "error", "met"),
    [
        ("", "an autoscaler owns it", False),
        (
            ", expect: service.ready >= 3, within: 10m, onFailure: continue",
            "an autoscaler owns it; not met: service.ready >= 3",
            False,
        ),
        (", expect: service.ready >= 1", "", True),
    ],
)
async def test_a_change_that_is_refused_stops_unless_it_is_so_all_the_same_or_the_runbook_goes_on(
    more: str, error: str, met: bool
) -> None:
    """Its expectation is looked at only once: nothing was made that could bring it about."""
    script = {"prepare": Refused("an autoscaler owns it")}
    bench = await driven(f"- {{id: scale, run: {SCALE}{more}}}\n" + AFTER, healed_at=60, script=script)
    assert bench.effects == []
    assert (bench.step("scale").error, bench.step("scale").met) == (error, met)
    if more:
        assert bench.prober.looked[0][0] < 2
    else:
        assert bench.ledger.moves[0] == (IncidentState.VERIFYING, "stopped at scale: an autoscaler owns it")
        assert not bench.has("after")


@pytest.mark.parametrize(
    ("undo", "texts", "note"),
    [
        ("", ("kubectl scale deployment web --replicas=3 -n production",), ""),
        (", undo: keep", (), "the runbook keeps this change"),
        (", undo: none", (), "the runbook declares that no undo is needed"),
    ],
)
async def test_the_way_back_is_written_down_before_the_change(undo: str, texts: tuple[str, ...], note: str) -> None:
    """P8: who, what, why, and how to undo it, or the runbook's own word on that."""
    effect = (await driven(f"- {{id: scale, run: {SCALE}{undo}}}", heals="kubectl scale")).step("scale#0")
    assert effect.why == "pod web-1 is unhealthy (rule web-pods)"
    assert effect.undo is not None
    assert (effect.undo.texts, effect.undo.note) == (texts, note)


def together(*steps: str) -> str:
    """Write steps that go at once, and one that looks after them."""
    return "- id: both\n  parallel:\n" + "".join(f"    - {each}\n" for each in steps) + AFTER


ONE, TWO = "{id: one, run: kubectl cordon one}", "{id: two, run: kubectl cordon two}"
FAILS = "{id: one, run: kubectl get pods, expect: size(items) > 5}"


@pytest.mark.parametrize(("needs", "seconds"), [("", 10), ("one", 20)])
async def test_parallel_steps_take_their_critical_path_and_later_steps_see_what_was_done(
    needs: str, seconds: float
) -> None:
    last = "- {id: last, run: kubectl cordon three, when: steps.one.ran && steps.two.ran}"
    bench = RunBench(together(ONE, TWO.replace("}", f", needs: [{needs}]}}")) + last, takes=10)
    await bench.drive(healed_at=60)
    assert sorted(bench.effects[:2]) == ["kubectl cordon one", "kubectl cordon two"]
    assert bench.effects[2:] == ["kubectl cordon three"]
    assert bench.prober.looked[0][0] == seconds


async def test_a_step_sees_what_the_step_that_it_needs_has_come_to() -> None:
    sees = TWO.replace("}", ", needs: [one], when: steps.one.passed}")
    bench = await driven(together(sees, FAILS.replace("}", ", onFailure: continue}")), healed_at=60)
    assert not bench.effects


async def test_a_step_that_needs_one_that_stopped_is_not_done_and_one_beside_it_comes_to_its_end() -> None:
    """A step that needs the backup is not done without the backup."""
    destroy, further = TWO.replace("}", ", needs: [one]}"), "{id: three, needs: [two], run: kubectl cordon three}"
    bench = RunBench(together(FAILS, destroy, further, "{id: beside, run: kubectl cordon four}"), takes=10)
    await bench.drive(healed_at=60)
    assert bench.ended == (IncidentState.NEEDS_OPERATOR, ["kubectl cordon four"])
    assert bench.stopped.startswith("stopped at both/one")
    assert bench.has("both/beside")


async def test_the_gravest_end_counts_not_the_first() -> None:
    """P3: nobody can tell whether the second was done, so a person is called although the first merely stopped."""
    script = {"perform": Lost(applied=True), "probe": Forbidden("may not get nodes")}
    assert (await driven(together(FAILS, TWO), script=script)).state is IncidentState.NEEDS_OPERATOR


async def test_steps_in_a_group_go_in_order_and_the_group_has_its_own_expectation() -> None:
    group = f"""\
    - id: group
      steps:
        - {ONE}
        - {{id: two, run: kubectl cordon two, when: steps.one.ran}}
      expect: service.healthy
      within: 1m
    """
    bench = await driven(group + AFTER, healed_at=20)
    assert bench.effects == ["kubectl cordon one", "kubectl cordon two"]
    assert bench.prober.looked[0][0] == 20


API = service_text("api", namespace="backend", more="parameters: {replicas: 7}")
AT_API = "kubectl scale deployment api --replicas=7 -n backend"


@pytest.mark.parametrize(
    ("call", "child", "effect"),
    [
        ("runbook: child", CHILD, SCALE),
        ("runbook: child, service: api", CHILD, AT_API),
        ("runbook: child", CHILD.replace("title: Mend it", "title: Mend the API\n  service: api"), AT_API),
    ],
    ids=["its caller's", "the one that the step names", "the one that it names itself"],
)
async def test_a_child_works_on_a_service_with_that_service_s_parameters(call: str, child: str, effect: str) -> None:
    """Their steps may have the same ids."""
    steps = f"- {{id: look, run: kubectl get pods}}\n- {{id: child, {call}}}"
    bench = await driven(steps, documents=(child, API), heals="kubectl scale")
    assert bench.ended == (IncidentState.RECOVERED, [effect])
    assert all(bench.has(each) for each in ("look", "child/look", "child/scale#0"))


ASKS = """\
- {id: reads, when: "has(alert.labels.replicas)", run: kubectl get pods}
- {id: sized, run: "kubectl scale ${service.workload} --replicas=${params.replicas}"}
"""


@pytest.mark.parametrize(
    ("call", "why"),
    [
        ("runbook: child", ""),
        ("runbook: child, service: api", "stopped at child: child has no value for replicas (no alert with"),
    ],
    ids=["its caller's service", "another service"],
)
async def test_a_child_reads_the_alert_of_its_run_on_the_same_service_only(call: str, why: str) -> None:
    api = service_text("api", namespace="backend")
    takes = "parameters: {replicas: {type: integer, from: alert.labels.replicas}}"
    bench = RunBench(f"- {{id: child, {call}}}", documents=(runbook_text(ASKS, name="child", more=takes), api))
    bench.began = signal(kind=RuleSource.ALERT, labels={"replicas": "5"})
    bench.heals = "kubectl scale"
    await bench.drive(healed_at=30)
    assert bench.has("child/reads") is not bool(why)
    assert bench.stopped.startswith(why) if why else bench.ended == (IncidentState.RECOVERED, [SCALE])


async def test_checks_of_each_service_are_its_own_steps_and_asked_of_that_service() -> None:
    api = service_text(
        "api",
        namespace="backend",
        more="checks: {smoke: [{id: pods, run: kubectl get pods, expect: size(items) > 0}]}",
    )
    steps = "- {id: smoke, checks: smoke}\n- {id: all, forEach: services, service: '${each.name}', checks: smoke}\n"
    settings = {"service": CHECKS, "documents": (api,), "answers": {"curl": {"status": 200}}}
    bench = await driven(steps + AFTER, healed_at=30, **settings)
    own = ["curl http://web.production/health", "kubectl get pods -n production"]
    texts = [text for _, text in bench.prober.looked]
    assert texts[:2] == own
    assert sorted(texts[2:-1]) == [own[0], "kubectl get pods -n backend", own[1]]
    assert bench.has("smoke/answers")
    assert bench.has("after")


@pytest.mark.parametrize("value", ["password=hunter2", "ghp_abcdefghijklmnopqrstuvwxyz0123456789", f"url {MASK}"])
async def test_a_command_with_a_secret_or_with_what_was_masked_stops_the_run_before_anything_is_written(
    value: str,
) -> None:
    """E4, P8: its command would stand in the ledger."""
    bench = await driven(f"- {{id: one, run: \"kubectl annotate deployment web note='{value}'\"}}")
    assert bench.ended == (IncidentState.NEEDS_OPERATOR, [])
    assert any("its command contains a secret" in reason for _, reason in bench.ledger.moves)
    assert all(step.command is None for step in bench.ledger.kept.values())


async def test_a_literal_of_an_environment_that_stands_in_the_runbook_is_no_secret() -> None:
    patch = '{"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"A","value":"off"}]}]}}}}'
    steps = f"- id: one\n  run: >-\n    kubectl patch deployment web -p '{patch}'\n"
    assert len((await driven(steps, heals="kubectl patch")).effects) == 1


WAIT = "- {id: wait, run: kubectl get pods, expect: 'false', within: 30s, onFailure: continue}\n"
IF_FEW = WAIT + f"- {{id: scale, run: {SCALE}, when: service.ready < 3}}\n"
EACH_ILL = WAIT + "- {id: scale, forEach: service.pods, when: each.unhealthy, run: 'kubectl delete pod ${each}'}\n"


@pytest.mark.parametrize("steps", [IF_FEW, EACH_ILL], ids=["when", "forEach"])
@pytest.mark.parametrize("stale", [True, False])
async def test_a_service_that_was_mended_while_it_was_not_seen_is_not_mended_again(steps: str, stale: bool) -> None:
    """B14, P6: the old view says that too few are ready; by the time that it can be seen again, all are."""
    bench = RunBench(steps)
    if stale:
        bench.blind(10, 120)
    else:
        bench.at(10, bench.observed.hide)
    well = (pod("web-1"), pod("web-4"), pod("web-5"))
    bench.at(120, lambda: bench.observed.show(ready=3, pods=well))
    await bench.drive(healed_at=200)
    assert bench.effects == []
    assert bench.step("scale").state is StepState.SKIPPED


async def test_a_step_that_is_still_needed_is_done_when_the_service_is_seen_again() -> None:
    bench = RunBench(IF_FEW, heals=SCALE)
    times = bench.note_times()
    bench.blind(10, 120)
    await bench.drive()
    assert times[SCALE] == pytest.approx(140, abs=1.5)  # the wait of 30 s has 20 left: blind time does not count
    assert clock() < 600


@pytest.mark.parametrize(
    ("steps", "state", "reason"),
    [
        (
            "- {id: look, run: kubectl get pods -l app=web}\n",
            IncidentState.CANCELLED,
            "upstream: cart is not serving; nothing was changed, and the trigger waits for the upstream",
        ),
        (f"- {{id: scale, run: {SCALE}}}\n", IncidentState.RECOVERED, ""),
    ],
)
async def test_a_run_that_has_changed_nothing_ends_for_an_upstream_that_explains_what_started_it(
    steps: str, state: IncidentState, reason: str
) -> None:
    """One cause is one notice: nobody is told of a run that was cancelled. What has changed something is judged by that."""
    bench = RunBench(steps, heals="kubectl scale")
    bench.observed.down = "cart is not serving"
    ended = await bench.drive()
    assert ended.state is state
    assert reason in (ended.reason, "")


async def test_a_hand_over_says_where_the_steps_stopped() -> None:
    """The person who is called reads why; and at once: where nothing is taken back, the deadline brings nothing more."""
    bench = await driven("- {id: sound, expect: service.ready > 99}", rollback="after: 6h\nthen: leave\n")
    assert bench.state is IncidentState.NEEDS_OPERATOR
    assert "web is not healthy, and no further action is available; stopped at sound: not met" in bench.reason
    assert clock() == pytest.approx(3 * 60, abs=2)


@pytest.mark.parametrize(
    ("expect", "state"),
    [("service.healthy", IncidentState.RECOVERED), ("service.healthy, service: web", IncidentState.NEEDS_OPERATOR)],
    ids=["its own service is healthy after all", "of another service nothing is known"],
)
async def test_a_run_with_a_step_that_was_not_met_is_not_recovered_unless_its_service_s_health_answers_that_step(
    expect: str, state: IncidentState
) -> None:
    steps = f"- {{id: one, run: kubectl cordon one}}\n- {{id: sound, expect: {expect}}}"
    bench = await driven(steps, healed_at=60)
    assert bench.state is state
    assert ("but the steps did not all succeed; stopped at sound: not met" in bench.reason) is (
        state is not IncidentState.RECOVERED
    )
