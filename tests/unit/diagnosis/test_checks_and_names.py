"""StaleConfiguration, NotAnswering, Certificate and NameResolution: pods are ready, and what they answer is wrong."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from kubediagnosis.causes import CauseKind, Confidence
from kubediagnosis.facts import (
    BackendAnswer,
    ConfigurationFacts,
    ConfigurationType,
    HostReference,
    LogFacts,
    NameServerFacts,
    ObserverFacts,
)
from kubediagnosis.words import resolver_silent, unresolved
from kubeobjects.metadata import Metadata
from kubeobjects.network import KubeService, ServiceSpec
from tests.unit.diagnosis.around import check, met, service, unmet, written
from tests.unit.diagnosis.workload import (
    APP,
    CERTAIN,
    GOOD,
    LIKELY,
    Workload,
    ago,
    crashes,
    new,
    old,
    rolled_out,
    row,
    runs,
)

NOT_ANSWERING, STALE, NAME = CauseKind.NOT_ANSWERING, CauseKind.STALE_CONFIGURATION, CauseKind.NAME_RESOLUTION
MAP = ConfigurationType.CONFIG_MAP
FIELD = "containers[app].env[UPSTREAM]"


IMAGE = ((*APP, "image"), "shop:2")


def test_a_check_that_is_not_met_without_any_change_is_the_workload_s_with_what_was_answered() -> None:
    (cause,) = unmet(answer="no answer within 2s").causes()
    assert row(cause) == (NOT_ANSWERING, "deployment/web", "", LIKELY)
    assert cause.text.endswith("the check answers fails: no answer within 2s")


def asked(answers: str, new: str = "") -> tuple[BackendAnswer, ...]:
    """Return what the two pods, then that of another workload or the `new` one, have answered by themselves: + or - for each."""
    pods = [("web-good-1", "deployment/web"), ("web-good-2", "deployment/web")]
    pods.append((new, "deployment/web") if new else ("next-1", "deployment/web-next"))
    return tuple(
        BackendAnswer(pod=pod, workload=workload, met=sign == "+", answer="" if sign == "+" else "HTTP 404")
        for (pod, workload), sign in zip(pods, answers, strict=False)
    )


def singly(backends: tuple[BackendAnswer, ...], web: Workload | None = None, **facts: Any) -> Workload:
    """Let a check not be met, and pods have been asked by themselves."""
    return (web or Workload()).also(checks=(replace(check(), backends=backends),), **facts)


@pytest.mark.parametrize(
    ("answers", "thing", "field", "shown"),
    [
        ("++-", "deployment/web-next", "spec.template", ("pod/next-1",)),
        ("+-", "pod/web-good-2", "", ("pod/web-good-2",)),
    ],
    ids=["another workload's", "one of several"],
)
def test_pods_that_alone_do_not_answer_are_the_cause(
    answers: str, thing: str, field: str, shown: tuple[str, ...]
) -> None:
    (cause,) = singly(asked(answers)).causes()
    assert row(cause) == (NOT_ANSWERING, thing, field, CERTAIN)
    assert tuple(each.object for each in cause.evidence) == shown


@pytest.mark.parametrize("answers", ["--+", "---"])
def test_a_check_that_all_pods_of_the_workload_fail_is_the_workload_s(answers: str) -> None:
    (cause,) = singly(asked(answers)).causes()
    assert row(cause) == (NOT_ANSWERING, "deployment/web", "", LIKELY)


def test_a_new_template_whose_pods_alone_do_not_answer_is_the_cause_however_long_the_check_fails() -> None:
    web = new(*IMAGE, runs(seconds=60))
    (cause, *_) = singly(asked("++-", "web-new-1"), web).causes()
    assert row(cause) == (NOT_ANSWERING, "deployment/web", "containers[app].image", CERTAIN)


def test_what_each_pod_answers_and_not_every_request_is_between_them_and_no_pod_s() -> None:
    (cause,) = singly(asked("++"), services=(service("front", app="web"),), labels={"app": "web"}).causes()
    assert row(cause) == (NOT_ANSWERING, "service/front", "", LIKELY)


@pytest.mark.parametrize(("seconds", "field"), [(60, "containers[app].image"), (3000, "")], ids=["since", "before"])
def test_a_check_that_fails_since_a_rollout_and_not_before_is_of_its_image(seconds: float, field: str) -> None:
    causes = unmet(rolled_out(*IMAGE), seconds=seconds).causes()
    assert row(causes[0]) == (NOT_ANSWERING, "deployment/web", field, LIKELY)


@pytest.mark.parametrize(
    ("configuration", "more", "thing", "field"),
    [
        (written("routes", "routes", 90, kind=MAP), {}, "configmap/routes", "data[routes]"),
        (written("routes", "routes", 3000, kind=MAP), {}, "deployment/web", ""),
        (written("routes", "routes", 10, kind=MAP), {}, "deployment/web", ""),
        (written("routes", "routes", 90, kind=MAP, made=90), {"created": ago(80)}, "deployment/web", ""),
        (written("registry", ".dockerconfigjson", 90), {}, "deployment/web", ""),
    ],
    ids=["right before", "long before", "after", "as it was made before the workload", "for pulling images"],
)
def test_configuration_of_the_pods_that_changed_right_before_is_the_cause(
    configuration: ConfigurationFacts, more: Mapping[str, Any], thing: str, field: str
) -> None:
    causes = unmet(configurations=(configuration,), **more).causes()
    assert row(causes[0]) == (NOT_ANSWERING, thing, field, LIKELY)


def unread(web: Workload | None = None, seconds: float = 90) -> Workload:
    """Let every check be met, and a setting have been written that the pods have not read."""
    return met(web, configurations=(written("settings", "currency", seconds, kind=MAP),))


def test_a_setting_that_nobody_has_read_yet_is_certain_and_the_last_to_be_named() -> None:
    (cause,) = unread().causes()
    assert (row(cause), cause.is_warning) == ((STALE, "configmap/settings", "data[currency]", CERTAIN), True)


@pytest.mark.parametrize(("sub_path", "kinds"), [("routes", [STALE]), ("", [])], ids=["by a sub path", "followed"])
def test_a_file_is_stale_only_where_the_kubelet_never_brings_its_change(sub_path: str, kinds: list[CauseKind]) -> None:
    web = Workload().change((*APP, "volumeMounts"), [{"name": "routes", "subPath": sub_path}])
    web.pods = [web.pod("web-good-1", GOOD), web.pod("web-good-2", GOOD)]
    causes = met(web, configurations=(written("routes", "routes", 90, kind=MAP),)).causes()
    assert [each.kind for each in causes] == kinds


def test_a_pod_that_a_rollout_is_about_to_replace_is_not_stale_while_all_is_answered() -> None:
    web = unread(new(*IMAGE, runs(seconds=60)), 130)
    assert web.causes() == ()
    assert STALE in {each.kind for each in unmet(web).causes()}


def test_pods_that_do_not_know_a_change_are_none_the_worse_while_one_that_knows_it_does_not_come_up() -> None:
    (cause,) = unread(old(crashes(3))).causes()
    assert row(cause)[:3] == (CauseKind.CONTAINER_EXIT, "configmap/settings", "data[currency]")
    assert {each.kind for each in unread(old(runs(seconds=50))).causes()} == {STALE}


@pytest.mark.parametrize(
    "configuration",
    [
        written("settings", "other", 90, kind=MAP),
        written("routes", "routes", 90, kind=MAP),
        written("settings", "currency", 900, kind=MAP),
    ],
    ids=["a key that nobody uses", "a volume, which follows", "before the pods began"],
)
def test_configuration_that_the_pods_know_of_is_not_stale(configuration: ConfigurationFacts) -> None:
    assert Workload().also(configurations=(configuration,)).causes() == ()


@pytest.mark.parametrize(("made", "confidence"), [(90.0, LIKELY), (10**6, CERTAIN)])
def test_a_configmap_that_was_made_anew_may_hold_what_it_held(made: float, confidence: Confidence) -> None:
    web = Workload().also(configurations=(written("settings", "currency", 90, kind=MAP, made=made),))
    assert web.causes()[0].confidence is confidence


@pytest.mark.parametrize(("known", "thing"), [(True, "secret/tls"), (False, "deployment/web")])
def test_a_certificate_that_has_expired_is_the_secret_s_where_it_can_be_read(known: bool, thing: str) -> None:
    web = unmet(answer=EXPIRED, configurations=(written("tls", "tls.crt", 9000),) if known else ())
    assert row(web.causes()[0])[:2] == (CauseKind.CERTIFICATE, thing)


EXPIRED = "x509: certificate has expired or is not yet valid"


def named(host: str, *, is_new: bool = False) -> Workload:
    """Let a variable name a host, since the newest template or for long, while a check is not met."""
    web = rolled_out((*APP, "env", 0, "value"), f"http://{host}") if is_new else Workload()
    hosts = (HostReference(field=FIELD, host=host, port=80),)
    return unmet(web, hosts=hosts, services=(service("db", app="db"),), selected=frozenset({"db"}))


@pytest.mark.parametrize("host", ["depo", "depo.shop", "depo.shop.svc.cluster.local"])
def test_a_name_that_a_new_template_has_wrong_is_the_variable_s(host: str) -> None:
    assert row(named(host, is_new=True).causes()[0]) == (NAME, "deployment/web", FIELD, LIKELY)


def test_a_name_that_the_template_has_long_had_is_the_service_s_that_went() -> None:
    causes = named("depot").causes()
    assert (CauseKind.SERVICE_ROUTING, "service/depot", "", LIKELY) in [row(each) for each in causes]
    assert NAME not in {each.kind for each in causes}


@pytest.mark.parametrize("host", ["db", "db.shop", "db.other", "example.com", "localhost"])
def test_a_name_that_is_there_or_is_not_of_this_namespace_is_no_cause(host: str) -> None:
    assert {each.kind for each in named(host, is_new=True).causes()} == {NOT_ANSWERING}


def test_no_name_is_wrong_while_services_cannot_be_read() -> None:
    web = named("depo", is_new=True).also(services=(), services_known=False)
    assert {each.kind for each in web.causes()} == {NOT_ANSWERING}


SILENT = "lookup depot on 10.96.0.10:53: read udp 10.0.0.7:4711->10.96.0.10:53: i/o timeout"


DNS = NameServerFacts(service="kube-dns", ready=2)


@pytest.mark.parametrize(("ready", "answer"), [(0, "HTTP 502"), (2, SILENT)], ids=["no endpoint", "no answer"])
def test_the_cluster_s_dns_is_the_cause_where_it_has_no_endpoint_or_gives_no_answer(ready: int, answer: str) -> None:
    web = unmet(answer=answer, name_server=NameServerFacts(service="kube-dns", ready=ready))
    assert row(web.causes()[0]) == (NAME, "service/kube-dns", "", LIKELY)


def test_the_cluster_s_dns_is_heard_of_in_the_log_of_a_pod_too() -> None:
    heard = LogFacts(pod="web-good-1", container="app", line=f"error: {SILENT}")
    (first, *_) = unmet(name_server=DNS, running_logs=(heard,)).causes()
    assert row(first)[:2] == (NAME, "service/kube-dns")
    assert first.evidence[0].object == "pod/web-good-1"


def external(name: str, target: str) -> KubeService:
    """Return a Service that is an alias."""
    spec = ServiceSpec(type="ExternalName", external_name=target)
    return KubeService(metadata=Metadata(name=name), spec=spec)


@pytest.mark.parametrize(
    "line",
    [
        "lookup pay on 10.96.0.10:53: server misbehaving",
        "lookup pay.shop.svc.cluster.local on 10.96.0.10:53: no such host",
        "lookup pay.example.com on 10.96.0.10:53: server misbehaving",
        "getaddrinfo ENOTFOUND pay.example.com",
    ],
)
def test_an_alias_whose_target_does_not_resolve_is_the_cause_and_not_the_cluster_s_dns(line: str) -> None:
    aliases = (external("pay", "pay.example.com"), external("mail", "mail.example.com"))
    causes = unmet(answer=f"HTTP 502: {line}", name_server=DNS, services=aliases).causes()
    assert row(causes[0]) == (NAME, "service/pay", "spec.externalName", LIKELY)
    assert [each.object for each in causes if each.kind is NAME] == ["service/pay"]
    assert causes[0].text == "Service pay is an alias of pay.example.com, which does not resolve"


@pytest.mark.parametrize(("host", "dns"), [("api.example.com", False), ("depot", True), ("depot.shop.svc", True)])
def test_a_name_of_the_internet_that_a_name_server_cannot_resolve_is_not_the_cluster_s_dns(
    host: str, dns: bool
) -> None:
    web = unmet(answer=f"lookup {host} on 10.96.0.10:53: server misbehaving", name_server=DNS)
    assert any(each.kind is NAME for each in web.causes()) is dns


def test_a_cluster_s_dns_that_is_well_is_no_cause() -> None:
    assert {each.kind for each in unmet(name_server=DNS).causes()} == {NOT_ANSWERING}


def test_our_own_name_server_in_doubt_is_the_observer_s_and_no_check_counts() -> None:
    doubt = ObserverFacts(doubt="our own name server does not answer")
    web = unmet(answer="api.production: cannot be resolved", observer=doubt)
    assert [row(each) for each in web.causes()] == [(CauseKind.OBSERVER, "", "", LIKELY)]


def test_the_observer_is_certain_by_nothing_that_is_read() -> None:
    web = Workload().also(observer=ObserverFacts(stale="the watch of pods is stale"))
    assert row(web.causes()[0]) == (CauseKind.OBSERVER, "", "", CERTAIN)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("dial tcp: lookup depo on 10.96.0.10:53: no such host", "depo"),
        ("Error: getaddrinfo ENOTFOUND depo", "depo"),
        ("java.net.UnknownHostException: depo.shop: Name or service not known", "depo.shop"),
        ("curl: (6) Could not resolve host: depo", "depo"),
        ("wget: bad address 'depo:80'", "depo"),
        ('could not translate host name "db" to address: Name or service not known', "db"),
        ("connection refused", ""),
        (SILENT, ""),
    ],
)
def test_a_name_that_does_not_resolve_is_read_in_the_words_of_many_languages(text: str, host: str) -> None:
    assert unresolved(text) == host


@pytest.mark.parametrize(
    ("text", "silent"),
    [
        (SILENT, True),
        ("dial tcp: lookup depot: i/o timeout", True),
        ("getaddrinfo EAI_AGAIN depot", True),
        ("socket.gaierror: [Errno -3] Temporary failure in name resolution", True),
        ("lookup depo on 10.96.0.10:53: no such host", False),
        ("dial tcp 10.0.0.8:8080: i/o timeout", False),
    ],
)
def test_a_name_server_that_gives_no_answer_is_told_from_a_name_that_is_wrong(text: str, silent: bool) -> None:
    assert resolver_silent(text) is silent
