"""From the inbox to the verdict: what matches, what it is about, what joins, what starts (P9, E20, E22, E23)."""

from dataclasses import replace

import pytest
from msgspec import structs
from structlog.testing import capture_logs

from kintsugi.errors import LedgerUnavailable, ServerUnavailable, StaleEpoch
from kintsugi.model.documents import Mode, RuleSource
from kintsugi.model.history import History
from kintsugi.model.records import IncidentState, Reason, Signal, Verdict, VerdictKind
from kintsugi.telemetry import Border
from tests.unit.factories import moment, past, pod, rule_text, run, service_text, signal
from tests.unit.pipeline.business import Business, alert
from tests.unit.pipeline.test_what_is_known_of_the_world import node as node_of

pytestmark = pytest.mark.looptime


async def test_a_condition_of_a_rule_starts_its_runbook() -> None:
    business = Business()
    verdict = await business.judged(signal())
    assert (verdict.kind, verdict.reason, verdict.rule) == (VerdictKind.STARTED, Reason.MATCHED, "web-pods")
    assert [each.service for each in business.roster.started] == ["web"]


async def test_the_claim_says_all_that_the_run_will_keep_to() -> None:
    business = Business()
    await business.judged(signal())
    (claim,) = business.inbox.claims
    assert (claim.service, claim.namespace, claim.rule, claim.runbook) == ("web", "production", "web-pods", "mend")
    assert (claim.mode, claim.catalog) == (Mode.AUTO, business.catalog.digest)
    assert claim.deadline == moment(minutes=30)
    assert claim.locks == ("service web", "production/deployment/web")


@pytest.mark.parametrize("given", [signal(rule="of-yesterday"), alert(alertname="Other")], ids=["gone", "other"])
async def test_what_no_rule_is_about_is_said_to_be_so(given: Signal) -> None:
    business = Business()
    verdict = await business.judged(given)
    assert (verdict.kind, verdict.reason) == (VerdictKind.NO_RULE, Reason.NO_RULE)
    assert not business.inbox.claims


@pytest.mark.parametrize(
    "labels", [{}, {"pod": "web-3"}, {"deployment": "web"}], ids=["only the namespace", "a pod", "the workload"]
)
async def test_an_alert_about_the_service_starts_its_runbook(labels: dict[str, str]) -> None:
    business = Business()
    verdict = await business.judged(alert(**labels))
    assert (verdict.kind, verdict.rule) == (VerdictKind.STARTED, "web-alerts")


@pytest.mark.parametrize(
    ("labels", "reason", "text"),
    [
        ({"pod": "web-9"}, Reason.NO_TARGET, "pod production/web-9 does not exist (any more)"),
        ({"deployment": "api"}, Reason.NO_TARGET, "deployment production/api does not exist (any more)"),
        ({"namespace": "staging"}, Reason.FOREIGN_TARGET, "namespace staging does not belong to web"),
        ({"pod": "other"}, Reason.FOREIGN_TARGET, "pod production/other does not belong to web"),
        ({"pod": "lonely"}, Reason.UNMANAGED, "pod production/lonely is a bare pod: nobody would make it again"),
        (
            {"namespace": "kube-system", "pod": "coredns"},
            Reason.PROTECTED,
            "pod kube-system/coredns is in a protected namespace: nothing is changed there",
        ),
    ],
)
async def test_an_alert_about_something_else_is_refused(labels: dict[str, str], reason: Reason, text: str) -> None:
    """Labels are a hint: the object is looked up again and must be this service's (E23)."""
    business = Business()
    business.cluster.run("other", app="other")
    business.bare("lonely")
    verdict = await business.judged(alert(**labels))
    assert (verdict.kind, verdict.reason, verdict.text) == (VerdictKind.REFUSED, reason, text)
    assert not business.inbox.claims


async def test_what_the_cache_does_not_know_is_asked_of_the_api_before_it_is_called_absent() -> None:
    business = Business()
    business.kube.known.add(("pod", "production", "web-new"))
    verdict = await business.judged(alert(pod="web-new"))
    assert verdict.reason is not Reason.NO_TARGET


async def test_an_object_that_cannot_be_looked_up_is_asked_for_again_later() -> None:
    """P6: no answer is no absence."""
    business = Business()
    business.kube.trouble = ServerUnavailable("no connection")
    verdict = await business.judged(alert(pod="web-9"))
    assert (verdict.kind, verdict.reason, verdict.until) == (VerdictKind.REFUSED, Reason.STALE, moment(seconds=30))


async def test_of_several_rules_the_one_that_the_object_belongs_to_counts() -> None:
    api = service_text("api", priority=1)
    business = Business(
        documents=(api, rule_text("api-alerts", service="api", on="alert", more="match: [alertname=Down]"))
    )
    verdict = await business.judged(alert(pod="web-3"))
    assert (verdict.kind, verdict.rule) == (VerdictKind.STARTED, "web-alerts")


async def test_a_signal_of_a_service_with_a_run_joins_it_without_a_claim() -> None:
    """E20, E22: a storm costs no transactions, and what our own change raises starts nothing."""
    business = Business()
    business.roster.under_way = [run()]
    verdict = await business.judged(alert(pod="web-3"))
    assert (verdict.kind, verdict.reason, verdict.incident) == (VerdictKind.ATTACHED, Reason.ACTIVE_RUN, "inc-1")
    assert not business.inbox.claims


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        (Mode.OBSERVE, VerdictKind.OBSERVED),
        (Mode.APPROVE, VerdictKind.AWAITING_APPROVAL),
        (Mode.AUTO, VerdictKind.STARTED),
    ],
)
async def test_the_more_careful_mode_counts(mode: Mode, kind: VerdictKind) -> None:
    assert (await Business(mode=mode).judged(signal())).kind is kind


async def test_a_person_is_asked_for_this_very_plan() -> None:
    business = Business(mode=Mode.APPROVE)
    await business.judged(signal())
    (asked,) = business.inbox.asked
    assert asked.question == "Run Mend it on web?\nlook: kubectl get pods"
    assert (asked.path, asked.expires) == ("", moment(minutes=30))
    assert asked.plan


async def test_the_guards_decide_with_the_history_of_the_ledger() -> None:
    business = Business()
    business.inbox.history = History(recent=(past(IncidentState.RECOVERED, finished=moment(minutes=-1)),))
    verdict = await business.judged(signal())
    assert (verdict.reason, verdict.until) == (Reason.COOLDOWN, moment(minutes=9))
    assert not business.roster.started


async def test_a_blind_daemon_starts_nothing() -> None:
    """P6."""
    business = Business()
    business.cluster.caches.pods.silent_for = 99.0
    verdict = await business.judged(signal())
    assert (verdict.kind, verdict.reason) == (VerdictKind.REFUSED, Reason.STALE)


async def test_a_batch_is_settled_at_once_and_every_verdict_is_told() -> None:
    business = Business()
    told: list[tuple[Signal, Verdict]] = []
    business.pipeline.on_verdict(lambda given, verdict: told.append((given, verdict)))
    business.inbox.due = [replace(alert(alertname="Other"), id=f"sig-{n}") for n in range(50)]
    await business.pipeline.step()
    assert business.inbox.batches == [50]
    assert len(told) == len(business.inbox.settled) == 50


async def test_a_signal_on_an_event_is_judged_like_the_others() -> None:
    business = Business(documents=(rule_text("web-events", on="event", more='when: object.reason == "BackOff"'),))
    verdict = await business.judged(signal(kind=RuleSource.EVENT, rule="web-events"))
    assert (verdict.kind, verdict.rule) == (VerdictKind.STARTED, "web-events")


async def test_no_signal_is_judged_while_the_clock_is_in_doubt() -> None:
    """C9: when it was received, and until when a verdict holds, would be written down wrong; it is judged afterwards."""
    business = Business()
    business.cluster.clock_problem = "this machine's clock is 1h ahead of the API server's"
    business.inbox.due.append(signal())
    await business.pipeline.step()
    assert business.inbox.settled == {}

    business.cluster.clock_problem = ""
    await business.pipeline.step()
    assert business.inbox.settled["sig-1"].kind is VerdictKind.STARTED


async def test_a_signal_that_the_ledger_refuses_takes_no_other_with_it() -> None:
    """B16, C8: it is judged again later, and counted; whoever heard of it before may fail, too."""
    business, counted, heard = Business(), [], []
    business.roster.containment.on_contained(counted.append)
    business.inbox.refused = {"strange"}

    def fail(*_: object) -> None:
        raise RuntimeError("nobody expected this")

    business.pipeline.on_verdict(fail)
    business.pipeline.on_verdict(lambda told, _: heard.append(told.id))
    business.inbox.due = [signal(id="strange"), signal(id="sound")]
    with capture_logs():
        await business.pipeline.step()
    strange = business.inbox.settled["strange"]
    assert (strange.kind, strange.reason) == (VerdictKind.REFUSED, Reason.UNANSWERABLE)
    assert strange.until is not None
    assert business.inbox.settled["sound"].kind is VerdictKind.STARTED
    assert heard == ["strange", "sound"]
    assert sorted(counted) == [Border.LISTENER, Border.LISTENER, Border.SIGNAL]


@pytest.mark.parametrize("error", [LedgerUnavailable("away"), StaleEpoch("another leads")], ids=repr)
async def test_what_concerns_every_signal_is_nobodys_mistake(error: Exception) -> None:
    """P4, D1: the ledger is away, or another daemon leads."""
    business = Business()
    business.inbox.trouble = error
    business.inbox.due = [signal()]
    with pytest.raises(type(error)):
        await business.pipeline.step()


def placeless(**labels: str) -> Signal:
    """Return an alert that names no namespace."""
    given = alert(**labels)
    return replace(given, labels={key: value for key, value in given.labels.items() if key != "namespace"})


@pytest.mark.parametrize("labels", [{}, {"pod": "web-3"}, {"deployment": "web"}, {"cluster": "another"}])
async def test_an_alert_without_a_namespace_starts_nothing_and_the_reason_names_the_label(
    labels: dict[str, str],
) -> None:
    """P9: it may be another cluster's, or anybody's of that name."""
    verdict = await Business().judged(placeless(**labels))
    assert (verdict.kind, verdict.reason) == (VerdictKind.REFUSED, Reason.NO_NAMESPACE)
    assert "has no label `namespace`" in verdict.text


@pytest.mark.parametrize(
    ("more", "labels"),
    [
        ("namespace: any\nmatch: [alertname=Placeless]", {}),
        ("match: [alertname=Placeless, shop=web]", {"shop": "web"}),
    ],
    ids=["the rule says so", "a label of this service alone"],
)
async def test_a_rule_may_take_alerts_that_name_no_namespace(more: str, labels: dict[str, str]) -> None:
    rule = rule_text("placeless", service="web", on="alert", more=more)
    business = Business(documents=(rule,))
    verdict = await business.judged(placeless(alertname="Placeless", **labels))
    assert (verdict.kind, verdict.rule) == (VerdictKind.STARTED, "placeless")


async def test_a_label_that_another_service_s_rule_asks_for_too_says_nothing() -> None:
    documents = (
        service_text("api", priority=1),
        rule_text("web-shop", service="web", on="alert", more="match: [alertname=Placeless, shop=one]"),
        rule_text("api-shop", service="api", on="alert", more="match: [alertname=Other, shop=one]"),
    )
    verdict = await Business(documents=documents).judged(placeless(alertname="Placeless", shop="one"))
    assert verdict.reason is Reason.NO_NAMESPACE


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        ("node-1", Reason.MATCHED),
        ("node-2", Reason.FOREIGN_TARGET),
        ("node-9", Reason.NO_TARGET),
        ("..", Reason.NO_TARGET),
    ],
)
async def test_an_alert_about_a_node_concerns_the_services_that_have_pods_there(node: str, reason: Reason) -> None:
    business = Business()
    for name in ("node-1", "node-2"):
        business.cluster.caches.nodes.put(node_of(name, "True"))
    there = pod("web-1", version=business.cluster.version())
    business.cluster.caches.pods.put(structs.replace(there, spec=structs.replace(there.spec, node_name="node-1")))
    business.cluster.services.refresh()
    verdict = await business.judged(placeless(node=node))
    assert verdict.reason is reason


@pytest.mark.parametrize("name", ["..", "../../nodes/a", "Web-3", "web_3", "a" * 254, "web-3\n", "web-3%2f"])
async def test_what_no_object_can_be_called_is_never_asked_for(name: str) -> None:
    """E5: a stranger's word becomes no path."""
    business = Business()
    verdict = await business.judged(alert(pod=name))
    assert (verdict.reason, business.kube.asked) == (Reason.NO_TARGET, [])
    verdict = await business.judged(alert(namespace=name, pod="web-3"))
    assert verdict.reason in (Reason.NO_TARGET, Reason.FOREIGN_TARGET)
    assert business.kube.asked == []


async def test_what_needs_no_look_up_is_judged_before_what_does_and_few_are_asked_at_once() -> None:
    """B14, P9: a storm of alerts about what is gone holds up nothing else."""
    business = Business()
    business.kube.slow = 0.1
    gone = [replace(alert(pod=f"gone-{n}"), id=f"sig-{n}") for n in range(40)]
    business.inbox.due = [*gone, replace(alert(pod="web-3"), id="sig-last")]
    await business.pipeline.step()
    (claim,) = business.inbox.claims
    assert claim.deadline == moment(minutes=30), "the alert that needs no look-up has waited for none"
    assert business.kube.most_at_once == 8
    assert len(business.kube.asked) == 40
    assert {business.inbox.settled[each.id].reason for each in gone} == {Reason.NO_TARGET}


async def test_what_is_not_answered_in_time_is_judged_again_and_holds_up_nothing() -> None:
    business = Business()
    business.kube.slow = 3600.0
    gone = [replace(alert(pod=f"gone-{n}"), id=f"sig-{n}") for n in range(20)]
    business.inbox.due = list(gone)
    await business.pipeline.step()
    verdicts = [business.inbox.settled[each.id] for each in gone]
    assert {verdict.reason for verdict in verdicts} == {Reason.STALE}
    assert all(verdict.until is not None for verdict in verdicts)
