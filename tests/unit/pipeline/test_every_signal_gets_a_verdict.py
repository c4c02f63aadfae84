"""From the inbox to the verdict: what matches, what it is about, what joins, what starts (P9, E20, E22, E23)."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from itertools import permutations
from typing import Any

import pytest
from msgspec import structs
from structlog.testing import capture_logs

from kintsugi.errors import LedgerUnavailable, NotRecorded, ServerUnavailable, StaleEpoch
from kintsugi.ledger.signals.signals import Signals
from kintsugi.ledger.store.transactions import Store
from kintsugi.model.records import IncidentState, Reason, Signal, Verdict, VerdictKind
from kintsugi.model.rules import Mode, RuleSource
from kintsugi.telemetry import FailureScope
from kubeobjects.resources import PODS, PVCS
from tests.harness.ledger_rows import keep
from tests.unit.factories import (
    catalog,
    ended,
    incident,
    moment,
    pod,
    rule_text,
    run,
    runbook_text,
    service_text,
    signal,
    virtual_clock,
)
from tests.unit.pipeline.business import ALERT_RULE, PipelineBench, alert
from tests.unit.pipeline.test_the_observed_state import node as node_facts

pytestmark = pytest.mark.looptime


class CountedSettles(Signals):
    """The ledger's signals; how many verdicts were kept together is counted."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.batches: list[int] = []

    async def settle(self, verdicts: Mapping[str, Verdict], now: datetime) -> None:
        """Keep verdicts."""
        self.batches.append(len(verdicts))
        await super().settle(verdicts, now)


async def test_a_condition_of_a_rule_starts_its_runbook_and_the_claim_says_what_the_run_keeps_to() -> None:
    business = PipelineBench()
    verdict = await business.judged(signal())
    assert (verdict.kind, verdict.reason, verdict.rule) == (VerdictKind.STARTED, Reason.MATCHED, "web-pods")
    assert [each.service for each in business.supervisor.started] == ["web"]
    (claim,) = business.requests.asked
    assert (claim.service, claim.namespace, claim.rule, claim.runbook) == ("web", "production", "web-pods", "mend")
    assert (claim.mode, claim.catalog) == (Mode.AUTO, business.catalog.digest)
    assert (claim.deadline, claim.locks) == (moment(minutes=30), ("service web", "production/deployment/web"))


STACK_RULE = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {name: several-down}
spec: {on: services, when: "services.exists(s, !s.serving)", runbook: everything, mode: auto}
"""
STACK_ALERT = STACK_RULE.replace("several-down", "stack-alert").replace(
    """on: services, when: "services.exists(s, !s.serving)\"""", "on: alert, matchers: [alertname=StackDown]"
)


@pytest.mark.parametrize(
    "given",
    [signal(rule="several-down", kind=RuleSource.SERVICES), alert(alertname="StackDown", namespace="", pod="gone")],
    ids=["condition", "alert"],
)
async def test_a_rule_about_all_services_starts_a_run_about_all_of_them(given: Signal) -> None:
    look = runbook_text("- {id: a, run: kubectl get nodes}", name="everything")
    business = PipelineBench(documents=(STACK_RULE, STACK_ALERT, look))
    verdict = await business.judged(given)
    assert verdict.kind is VerdictKind.STARTED, verdict
    (claim,) = business.requests.asked
    assert (claim.service, claim.namespace, claim.runbook, claim.locks) == (
        "stack",
        "",
        "everything",
        ("service stack",),
    )


@pytest.mark.parametrize("given", [signal(rule="of-yesterday"), alert(alertname="Other")], ids=["gone", "other"])
async def test_a_signal_that_no_rule_is_about_is_said_to_be_so(given: Signal) -> None:
    business = PipelineBench()
    verdict = await business.judged(given)
    assert (verdict.kind, verdict.reason) == (VerdictKind.NO_RULE, Reason.NO_RULE)
    assert not business.requests.asked


@pytest.mark.parametrize(
    "labels", [{}, {"pod": "web-3"}, {"deployment": "web"}], ids=["only the namespace", "a pod", "the workload"]
)
async def test_an_alert_about_the_service_starts_its_runbook(labels: dict[str, str]) -> None:
    business = PipelineBench()
    verdict = await business.judged(alert(**labels))
    assert (verdict.kind, verdict.rule) == (VerdictKind.STARTED, "web-alerts")


@pytest.mark.parametrize(
    ("labels", "reason", "text"),
    [
        ({"pod": "web-9"}, Reason.NO_TARGET, "pod production/web-9 does not exist (any more)"),
        ({"deployment": "api"}, Reason.NO_TARGET, "deployment production/api does not exist (any more)"),
        ({"namespace": "staging"}, Reason.FOREIGN_TARGET, "namespace staging does not belong to web"),
        ({"pod": "other"}, Reason.FOREIGN_TARGET, "pod production/other does not belong to web"),
        ({"pod": "lonely"}, Reason.UNMANAGED, "pod production/lonely is a bare pod: no controller would recreate it"),
        (
            {"namespace": "kube-system", "pod": "coredns"},
            Reason.PROTECTED,
            "pod kube-system/coredns is in a protected namespace; Kintsugi changes nothing there",
        ),
    ],
)
async def test_an_alert_about_something_else_is_refused(labels: dict[str, str], reason: Reason, text: str) -> None:
    """Labels are a hint: the object is looked up again and must be this service's (E23)."""
    business = PipelineBench()
    business.cluster.run("other", app="other")
    business.bare("lonely")
    verdict = await business.judged(alert(**labels))
    assert (verdict.kind, verdict.reason, verdict.text) == (VerdictKind.REFUSED, reason, text)
    assert not business.requests.asked


OWNED = {"ownerReferences": [{"kind": "ReplicaSet", "name": "web-7d4", "uid": "rs", "controller": True}]}


@pytest.mark.parametrize(
    ("metadata", "reason", "again"),
    [
        ({"labels": {"app": "web"}, **OWNED}, Reason.MATCHED, False),
        ({"labels": {"app": "web"}}, Reason.UNMANAGED, False),
        ({"labels": {"app": "other"}, **OWNED}, Reason.FOREIGN_TARGET, True),
    ],
)
async def test_a_pod_that_no_cache_has_is_judged_as_the_api_has_it(
    metadata: dict[str, Any], reason: Reason, again: bool
) -> None:
    """B14: a refusal by what is seen is provisional where the watch is behind the API server."""
    business = PipelineBench()
    business.kube.put(PODS, {"metadata": {"name": "web-new", "namespace": "production", **metadata}})
    verdict = await business.judged(alert(pod="web-new"))
    assert (verdict.reason, verdict.until is not None) == (reason, again)
    assert business.kube.asked == ["web-new"]


@pytest.mark.parametrize(
    ("labels", "synced", "answers"),
    [
        ({"persistentvolumeclaim": "data"}, True, True),
        ({"pod": "other"}, False, True),
        ({"namespace": "", "node": "node-9"}, False, True),
        ({"pod": "web-9"}, True, False),
    ],
)
async def test_a_refusal_by_what_is_not_seen_for_certain_is_provisional(
    labels: dict[str, str], synced: bool, answers: bool
) -> None:
    """P6: a view may lack a claim, a stale cache the workload or the node; and no answer of the API is no absence."""
    business = PipelineBench()
    business.kube.put(PVCS, {"metadata": {"name": "data", "namespace": "production"}})
    business.cluster.run("other", app="other")
    business.cluster.caches.deployments.synced = synced
    business.kube.broken = None if answers else ServerUnavailable("no connection")
    verdict = await business.judged(alert(**labels))
    assert (verdict.kind, verdict.reason is Reason.STALE) == (VerdictKind.REFUSED, not answers)
    assert verdict.until is not None


async def test_the_rule_that_the_object_belongs_to_counts_among_several() -> None:
    api = service_text("api", priority=1)
    business = PipelineBench(
        documents=(api, rule_text("api-alerts", service="api", on="alert", more="matchers: [alertname=Down]"))
    )
    verdict = await business.judged(alert(pod="web-3"))
    assert (verdict.kind, verdict.rule) == (VerdictKind.STARTED, "web-alerts")


async def test_a_signal_of_a_service_with_a_run_joins_it_without_a_claim() -> None:
    """E20, E22: a storm costs no transactions, and what our own change raises starts nothing."""
    business = PipelineBench()
    business.supervisor.under_way = [run()]
    await keep(business.ledger, incident(), run())
    verdict = await business.judged(alert(pod="web-3"))
    assert (verdict.kind, verdict.reason, verdict.incident) == (VerdictKind.ATTACHED, Reason.ACTIVE_RUN, "inc-1")
    assert not business.requests.asked


async def test_the_more_careful_mode_counts_and_a_person_is_asked_for_this_very_plan() -> None:
    assert (await PipelineBench(mode=Mode.OBSERVE).judged(signal())).kind is VerdictKind.OBSERVED
    business = PipelineBench(mode=Mode.APPROVE)
    assert (await business.judged(signal())).kind is VerdictKind.AWAITING_APPROVAL
    (opened,) = await business.ledger.incidents.newest()
    (asked,) = await business.ledger.people.questions_of(opened.id)
    assert asked.text.startswith("Run Mend it on web?\nlook: kubectl get pods\n")
    assert (asked.path, asked.expires) == ("", moment(minutes=30))
    assert asked.plan


async def test_the_guards_decide_with_the_history_of_the_ledger() -> None:
    business = PipelineBench()
    await keep(business.ledger, *ended(finished=moment(minutes=-1)))
    verdict = await business.judged(signal())
    assert (verdict.reason, verdict.until) == (Reason.COOLDOWN, moment(minutes=9))
    assert not business.supervisor.started


async def test_a_blind_daemon_starts_nothing() -> None:
    """P6."""
    business = PipelineBench()
    business.cluster.caches.pods.silent_for = 99.0
    verdict = await business.judged(signal())
    assert (verdict.kind, verdict.reason) == (VerdictKind.REFUSED, Reason.STALE)


async def test_a_batch_is_settled_at_once_and_every_verdict_is_told() -> None:
    business = PipelineBench()
    told: list[tuple[Signal, Verdict]] = []
    business.pipeline.on_verdict(lambda given, verdict: told.append((given, verdict)))
    business.ledger.signals = counted = CountedSettles(business.ledger._store)
    await business.deliver(*[replace(alert(alertname="Other"), id=f"sig-{n}", key=f"fp-{n}") for n in range(50)])
    await business.pipeline.step()
    assert counted.batches == [50]
    assert len(told) == len(await business.verdicts()) == 50


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
async def test_a_batch_is_judged_by_priority_whoever_came_first(order: tuple[int, ...]) -> None:
    """Equal priorities go by name; what is of no service comes last."""
    business = of_services(service_text("api"), service_text("mail"), service_text("database", priority=1))
    given = [
        signal(id="sig-db", rule="database-pods", key="a"),
        signal(id="sig-api", rule="api-pods", key="d"),
        signal(id="sig-mail", rule="mail-pods", key="b"),
        signal(id="sig-none", rule="of-yesterday", key="c"),
    ]
    told: list[str] = []
    business.pipeline.on_verdict(lambda each, _: told.append(each.id))
    await business.deliver(*[replace(given[place], received=moment(seconds=at)) for at, place in enumerate(order)])
    await business.pipeline.step()
    assert told == ["sig-db", "sig-api", "sig-mail", "sig-none"]


async def occupied(business: PipelineBench, slots: int) -> None:
    """Let that many other services, `s-0` and so on, have a run under way."""
    for name in (f"s-{number}" for number in range(slots)):
        about = replace(incident(service=name), id=f"inc-{name}")
        await keep(business.ledger, about, replace(run(service=name), id=f"run-{name}", incident=about.id))


async def freed(business: PipelineBench, name: str) -> None:
    """Let one of those runs be over."""
    await business.ledger.incidents.move_run(f"run-{name}", IncidentState.RECOVERED, "all is well", virtual_clock())


def of_services(*services: str) -> PipelineBench:
    """Return the pipeline over these services, each with a rule of its own for its pods."""
    names = catalog(*services, runbook_text()).services
    rules = [rule_text(f"{name}-pods", service=name) for name in names]
    return PipelineBench(known=catalog(*services, *rules, runbook_text()))


async def unhealthy(business: PipelineBench, name: str) -> Verdict:
    """Let a pod of a service be unhealthy, and return the verdict."""
    return await business.judged(signal(id=f"sig-{name}", rule=f"{name}-pods", key=name))


async def test_a_slot_goes_to_the_highest_priority_that_waits_for_one() -> None:
    """A lower one that comes when a slot is free does not take it from one that was refused before; nor for ever."""
    business = of_services(service_text("mail", priority=5), service_text("database", priority=1))
    await occupied(business, 3)
    assert (await unhealthy(business, "database")).reason is Reason.BUDGET
    await freed(business, "s-0")
    waits = await unhealthy(business, "mail")
    assert (waits.reason, waits.text) == (
        Reason.BUDGET,
        "the limit is 3 services at once; services with a higher priority come first: database",
    )
    over = signal(id="sig-over", rule="database-pods", key="database", ended=moment(seconds=1))
    await business.ledger.signals.accept([over], virtual_clock())
    await asyncio.sleep(61)
    await business.pipeline.step()
    started = (await business.verdicts())["sig-mail"]
    assert started.kind is VerdictKind.STARTED, "the database's trouble has ended meanwhile"


async def test_the_highest_priority_among_services_released_together_has_the_slot_whoever_is_judged_first() -> None:
    business = of_services(
        service_text("web", priority=1),
        service_text("mail", priority=2, depends_on=("web",)),
        service_text("api", priority=3, depends_on=("web",)),
    )
    for name in ("web-1", "web-2"):
        business.cluster.run(name, ready=False)
    business.cluster.services.refresh()
    for name in ("api", "mail"):
        assert (await unhealthy(business, name)).kind is VerdictKind.HELD
        await asyncio.sleep(5)
    await occupied(business, 2)
    for name in ("web-1", "web-2"):
        business.cluster.run(name)
    business.cluster.services.refresh()
    await asyncio.sleep(21)
    await business.pipeline.step()
    waits = (await business.verdicts())["sig-api"]
    assert waits.reason is Reason.BUDGET
    assert waits.text.endswith("services with a higher priority come first: mail")
    await asyncio.sleep(5)
    await business.pipeline.step()
    assert (await business.verdicts())["sig-mail"].kind is VerdictKind.STARTED


async def test_a_service_that_waited_for_a_slot_and_got_one_holds_up_no_other() -> None:
    business = of_services(service_text("mail", priority=5), service_text("database", priority=1))
    await occupied(business, 3)
    assert (await unhealthy(business, "database")).reason is Reason.BUDGET
    for name in ("s-0", "s-1"):
        await freed(business, name)
    await asyncio.sleep(31)
    await business.pipeline.step()
    assert (await business.verdicts())["sig-database"].kind is VerdictKind.STARTED
    assert (await unhealthy(business, "mail")).kind is VerdictKind.STARTED


async def test_a_signal_on_an_event_is_judged_like_the_others() -> None:
    business = PipelineBench(documents=(rule_text("web-events", on="event", more='when: object.reason == "BackOff"'),))
    verdict = await business.judged(signal(kind=RuleSource.EVENT, rule="web-events"))
    assert (verdict.kind, verdict.rule) == (VerdictKind.STARTED, "web-events")


async def test_no_signal_is_judged_while_the_clock_is_in_doubt() -> None:
    """C9: when it was received, and until when a verdict holds, would be written down wrong; it is judged afterwards."""
    business = PipelineBench()
    business.cluster.clock_problem = "this machine's clock is 1h ahead of the API server's"
    await business.deliver(signal())
    await business.pipeline.step()
    assert await business.verdicts() == {}

    business.cluster.clock_problem = ""
    await business.pipeline.step()
    assert (await business.verdicts())["sig-1"].kind is VerdictKind.STARTED


async def test_a_signal_that_the_ledger_refuses_takes_no_other_with_it() -> None:
    """B16, C8: it is judged again later, and counted; whoever heard of it before may fail, too."""
    business = PipelineBench()
    counted: list[FailureScope] = []
    heard: list[str] = []
    business.supervisor.containment.on_contained(counted.append)
    business.requests.raised = {"strange": NotRecorded("signal strange was never accepted")}

    def fail(*_: object) -> None:
        raise RuntimeError("nobody expected this")

    business.pipeline.on_verdict(fail)
    business.pipeline.on_verdict(lambda told, _: heard.append(told.id))
    await business.deliver(signal(id="strange", key="a"), signal(id="sound", key="b"))
    with capture_logs():
        await business.pipeline.step()
    verdicts = await business.verdicts()
    strange = verdicts["strange"]
    assert (strange.kind, strange.reason) == (VerdictKind.REFUSED, Reason.UNANSWERABLE)
    assert strange.until is not None
    assert verdicts["sound"].kind is VerdictKind.STARTED
    assert heard == ["strange", "sound"]
    assert sorted(counted) == [FailureScope.LISTENER, FailureScope.LISTENER, FailureScope.SIGNAL]


@pytest.mark.parametrize("error", [LedgerUnavailable("away"), StaleEpoch("another leads")], ids=repr)
async def test_a_failure_that_concerns_every_signal_is_counted_against_none(error: Exception) -> None:
    """P4, D1: the ledger is away, or another daemon leads."""
    business = PipelineBench()
    business.requests.raised = {"sig-1": error}
    await business.deliver(signal())
    with pytest.raises(type(error)):
        await business.pipeline.step()


def placeless(**labels: str) -> Signal:
    """Return an alert that names no namespace."""
    given = alert(**labels)
    return replace(given, labels={key: value for key, value in given.labels.items() if key != "namespace"})


@pytest.mark.parametrize(
    ("labels", "takes_them", "reason"),
    [
        ({}, False, Reason.NO_NAMESPACE),
        ({"pod": "web-3"}, False, Reason.NO_NAMESPACE),
        ({"deployment": "web"}, False, Reason.NO_NAMESPACE),
        ({"cluster": "another"}, False, Reason.NO_NAMESPACE),
        ({"alertname": "Placeless", "shop": "web"}, False, Reason.NO_NAMESPACE),
        ({"alertname": "Placeless", "shop": "web"}, True, Reason.MATCHED),
    ],
)
async def test_an_alert_without_a_namespace_starts_nothing_unless_a_rule_takes_such_alerts(
    labels: dict[str, str], takes_them: bool, reason: Reason
) -> None:
    """P9: it may be another cluster's, or anybody's of that name, also where a rule asks for one of its labels."""
    more = ("namespace: any\n" if takes_them else "") + "matchers: [alertname=Placeless, shop=web]"
    rule = rule_text("placeless", service="web", on="alert", more=more)
    verdict = await PipelineBench(documents=(rule,)).judged(placeless(**labels))
    assert verdict.reason is reason
    assert ("has no label `namespace`" in verdict.text) is not takes_them


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        ("node-1", Reason.MATCHED),
        ("node-2", Reason.FOREIGN_TARGET),
        ("node-9", Reason.NO_TARGET),
        ("..", Reason.NO_TARGET),
    ],
)
@pytest.mark.parametrize("more", ["", "namespace: any\n"])
async def test_an_alert_about_a_node_concerns_the_services_that_have_pods_there(
    node: str, reason: Reason, more: str
) -> None:
    """Also where a rule takes alerts that name no namespace: a node has none."""
    rule = rule_text("node-down", service="web", on="alert", more=f"{more}matchers: [alertname=NodeDown]")
    business = PipelineBench(documents=(rule,))
    for name in ("node-1", "node-2"):
        business.cluster.caches.nodes.put(node_facts(name, "True"))
    there = pod("web-1", version=business.cluster.version())
    business.cluster.caches.pods.put(structs.replace(there, spec=structs.replace(there.spec, node_name="node-1")))
    business.cluster.services.refresh()
    verdict = await business.judged(placeless(alertname="NodeDown", node=node))
    assert verdict.reason is reason


@pytest.mark.parametrize("name", ["..", "../../nodes/a", "Web-3", "web_3", "a" * 254, "web-3\n", "web-3%2f"])
async def test_a_name_that_no_object_can_have_is_never_asked_for(name: str) -> None:
    """E5: a stranger's word becomes no path."""
    business = PipelineBench()
    verdict = await business.judged(alert(pod=name))
    assert (verdict.reason, business.kube.asked) == (Reason.NO_TARGET, [])
    verdict = await business.judged(replace(alert(namespace=name, pod="web-3"), id="sig-2", key="fp-2"))
    assert verdict.reason in (Reason.NO_TARGET, Reason.FOREIGN_TARGET)
    assert business.kube.asked == []


async def test_signals_that_need_no_look_up_are_judged_before_others_and_few_are_asked_at_once() -> None:
    """B14, P9: a storm of alerts about what is gone holds up nothing else."""
    business = PipelineBench()
    business.kube.slow = 0.1
    gone = [replace(alert(pod=f"gone-{n}"), id=f"sig-{n}", key=f"fp-{n}") for n in range(40)]
    await business.deliver(*gone, replace(alert(pod="web-3"), id="sig-last", key="fp-last"))
    await business.pipeline.step()
    (claim,) = business.requests.asked
    assert claim.deadline == moment(minutes=30), "the alert that needs no look-up has waited for none"
    assert business.kube.most_at_once == 8
    assert len(business.kube.asked) == 40
    verdicts = await business.verdicts()
    assert {verdicts[each.id].reason for each in gone} == {Reason.NO_TARGET}


async def test_a_look_up_that_is_not_answered_in_time_is_judged_again_and_holds_up_no_other() -> None:
    business = PipelineBench()
    business.kube.slow = 3600.0
    gone = [replace(alert(pod=f"gone-{n}"), id=f"sig-{n}", key=f"fp-{n}") for n in range(20)]
    await business.deliver(*gone)
    await business.pipeline.step()
    verdicts = await business.verdicts()
    assert {verdicts[each.id].reason for each in gone} == {Reason.STALE}
    assert all(verdict.until is not None for verdict in verdicts.values())


def binding(*labels: str) -> PipelineBench:
    """Return a pipeline whose runbook takes these labels of its alert."""
    takes = "".join(f"  {each}: {{type: name, from: alert.labels.{each}}}\n" for each in labels)
    known = catalog(service_text(), rule_text(), ALERT_RULE, runbook_text(more=f"parameters:\n{takes}"))
    business = PipelineBench(known=known)
    business.cluster.run("other", app="other")
    return business


async def test_a_run_takes_a_label_of_its_alert_and_keeps_it_in_the_ledger_with_the_alert() -> None:
    """What a next process reads: the run's values, and the alert itself, not one that joined the run later."""
    business = binding("pod")
    verdict = await business.judged(alert(pod="web-1"))
    assert verdict.text == "rule web-alerts starts mend with pod = web-1"
    assert (await business.ledger.incidents.runs_of(verdict.incident))[0].parameters == {"pod": "web-1"}
    joined = replace(alert(pod="web-2"), id="sig-0", key="fp-2")
    await business.deliver(joined)
    await business.pipeline.step()
    assert (await business.verdicts())["sig-0"].incident == verdict.incident
    began = await business.ledger.signals.alert_that_began(verdict.incident)
    assert began is not None
    assert began.labels["pod"] == "web-1"


async def test_a_run_without_a_value_for_its_parameter_is_refused_in_words() -> None:
    verdict = await binding("pod").judged(alert())
    assert (verdict.kind, verdict.reason) == (VerdictKind.REFUSED, Reason.NO_VALUE)
    assert verdict.text == (
        "mend has no value for pod (the alert has no alert.labels.pod); "
        "a person starts it with: kintsugi recover mend --service web --set pod=VALUE"
    )


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ({"deployment": "web", "pod": "web-9"}, "pod production/web-9 does not exist (any more)"),
        ({"deployment": "web", "pod": "other"}, "pod production/other does not belong to web"),
        ({"pod": "web-1", "node": "node-9"}, "node 'node-9' does not exist (any more)"),
        ({"pod": "web-1", "container": "gone"}, "container 'gone' is in no pod of web"),
        ({"pod": "web-1", "job_name": "gone"}, "job production/gone does not exist (any more)"),
    ],
)
async def test_an_object_that_a_run_would_take_from_its_alert_must_be_one_of_the_service(
    labels: dict[str, str], text: str
) -> None:
    """The label that names the alert's object is judged in any case; here another one is bound."""
    verdict = await binding([*labels][-1]).judged(alert(**labels))
    assert (verdict.kind, verdict.text) == (VerdictKind.REFUSED, text)
    assert (await PipelineBench().judged(alert(**labels))).kind is VerdictKind.STARTED
