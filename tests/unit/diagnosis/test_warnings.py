"""While a service is well, what its objects show to be wrong is a warning: a person is told, and no remedy follows."""

from collections.abc import Mapping

import pytest

from kintsugi.decisions.remedies import remedy
from kintsugi.model.remedies import RemedyKind, RevisionFacts
from kubediagnosis.causes import CauseKind
from kubediagnosis.diagnose import diagnose
from kubediagnosis.facts import (
    HostReference,
    LogFacts,
    NameServerFacts,
    ObserverFacts,
    SharedService,
)
from kubeobjects.metadata import Metadata
from kubeobjects.network import KubeService, ServicePort, ServiceSpec
from tests.unit.diagnosis.around import check, met, service, unmet
from tests.unit.diagnosis.workload import APP, Workload, rolled_out

NAME, ROUTING = CauseKind.NAME_RESOLUTION, CauseKind.SERVICE_ROUTING
UPSTREAM = "containers[app].env[UPSTREAM]"
SILENT = "lookup depot on 10.96.0.10:53: read udp 10.0.0.7:4711->10.96.0.10:53: i/o timeout"


def well(path: tuple[str | int, ...] = (*APP, "env", 0, "value"), value: object = "http://db:8079") -> Workload:
    """Let a rollout have ended well; no check of the service is asked, and its Service leads to it."""
    services = (service("db", app="db"), service("web", "http", app="web"))
    return rolled_out(path, value).also(services=services, selected={"db"})


def names(host: str, port: int = 80) -> dict[str, object]:
    """Return what a variable names."""
    return {"hosts": (HostReference(field=UPSTREAM, host=host, port=port),)}


def headless(name: str) -> KubeService:
    """Return a Service without an address."""
    ports = (ServicePort(name="main", port=80),)
    spec = ServiceSpec(selector={"app": name}, ports=ports, cluster_ip="None")
    return KubeService(metadata=Metadata(name=name), spec=spec)


def warnings(web: Workload) -> list[tuple[CauseKind, str, str]]:
    """Return the warnings of a workload."""
    return [(each.kind, each.object, each.field) for each in web.causes() if each.is_warning]


@pytest.mark.parametrize("checks", [(), (check(met=True),)], ids=["unchecked", "met"])
@pytest.mark.parametrize(
    ("more", "found"),
    [
        (names("db", 8079), (NAME, "deployment/web", UPSTREAM)),
        (names("db.shop.svc", 8079), (NAME, "deployment/web", UPSTREAM)),
        (names("depo"), (NAME, "deployment/web", UPSTREAM)),
        (
            {"services": (service("web", "main", app="web"),)},
            (ROUTING, "service/web", "spec.ports[main].targetPort"),
        ),
        (
            {
                "services": (service("web", "http", **{"part-of": "shop"}),),
                "shared": (SharedService(name="web", pods=("depot-0",), own=("depot",)),),
            },
            (ROUTING, "service/web", "spec.selector"),
        ),
        (
            {
                "name_server": NameServerFacts(service="kube-dns", ready=2),
                "running_logs": (LogFacts(pod="web-new-1", container="app", line=SILENT),),
            },
            (NAME, "service/kube-dns", ""),
        ),
    ],
    ids=["port", "port of a full name", "name", "target port", "too wide", "DNS in a log"],
)
def test_objects_that_contradict_each_other_are_a_warning(
    checks: tuple[object, ...], more: dict[str, object], found: tuple[CauseKind, str, str]
) -> None:
    web = well().also(**more, checks=checks)
    assert warnings(web) == [found]
    helps = remedy(diagnose(web.facts()), RevisionFacts(revision=2, good=1, changed=(UPSTREAM,)))
    assert helps.kind is RemedyKind.WAIT, "no cause is known: nothing is wrong"
    web.also(serving=False)
    assert not warnings(web), "what is wrong while nobody is served is a cause"
    assert found in [(each.kind, each.object, each.field) for each in web.causes()]


@pytest.mark.parametrize("doubt", ["", "our own name server does not answer"])
def test_a_resolver_of_its_own_that_a_new_template_has_is_a_warning(doubt: str) -> None:
    """P6: also while the observer is in doubt, so that no remedy follows."""
    web = well(("spec", "dnsPolicy"), "None").also(observer=ObserverFacts(doubt=doubt))
    assert warnings(web) == [(NAME, "deployment/web", "dnsPolicy")]


MAY_BE_RIGHT: Mapping[str, dict[str, object]] = {
    "a port that is there": names("db"),
    "no port is named": names("db", 0),
    "a headless Service has all ports": {
        **names("db", 8079),
        "services": (headless("db"), service("web", "http", app="web")),
    },
    "Services cannot be read": {**names("depo"), "services": (), "services_known": False},
    "a port that no container declares": {"services": (service("web", 9999, app="web"),)},
    "a port of another workload's pods": {"services": (service("web", "grpc", **{"part-of": "shop"}),)},
    "a canary behind the same Service": {
        "services": (service("web", "http", **{"part-of": "shop"}),),
        "shared": (SharedService(name="web", pods=("web-canary-1",), own=()),),
    },
    "one name is not the DNS": {
        "running_logs": (LogFacts(pod="web-new-1", container="app", line="lookup depo: no such host"),)
    },
}


@pytest.mark.parametrize("more", MAY_BE_RIGHT.values(), ids=MAY_BE_RIGHT)
def test_objects_that_may_be_right_are_no_warning(more: dict[str, object]) -> None:
    assert not warnings(well().also(**more))


@pytest.mark.parametrize(("host", "port"), [("depo", 80), ("db", 8079)])
def test_a_name_that_a_variable_has_long_had_is_no_warning(host: str, port: int) -> None:
    """It may be used by nothing."""
    assert not warnings(well((*APP, "image"), "shop:2").also(**names(host, port)))


def test_a_port_that_only_a_sidecar_of_the_pods_has_is_no_warning() -> None:
    web = well().also(services=(service("web", "mesh", app="web"),))
    assert warnings(web)
    for pod in web.pods:
        pod["spec"]["containers"].append({"name": "mesh", "ports": [{"name": "mesh", "containerPort": 15020}]})
    assert not warnings(web)


def test_a_warning_comes_after_every_cause() -> None:
    web = met(well(), **names("db", 8079))
    assert web.causes()[-1].is_warning
    assert not unmet(web).causes()[0].is_warning
