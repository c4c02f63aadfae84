"""What `kintsugi init` writes is right as it stands, whatever a workload is called."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from kintsugi.actions import api_objects
from kintsugi.catalog import catalog_paths, load
from kintsugi.catalog.scaffold import FoundWorkload, document, file_names, upstreams_of
from kintsugi.cli.scaffolding import found_workload
from kintsugi.errors import UsageError
from kintsugi.model.catalog import Catalog
from kintsugi.model.hosts import ServiceHost
from kintsugi.model.rules import RuleSource
from kintsugi.model.runbooks import Run
from kintsugi.model.services import WorkloadRef
from kintsugi.verbs.curl import Curl
from kubeobjects.kept import KubeService
from kubeobjects.resources import DAEMONSETS, DEPLOYMENTS, STATEFULSETS, Resource
from kubeobjects.selectors import NOTHING


def found(resource: Resource, name: str, selector: str = "app=web", *managers: str) -> FoundWorkload:
    """Make a workload of the namespace `shop`."""
    workload = WorkloadRef(resource=resource, name=name)
    return FoundWorkload(workload=workload, namespace="shop", selector=selector, managers=managers)


def loaded(folder: Path, *workloads: FoundWorkload) -> Catalog:
    """Write their documents, and load them as `kintsugi run --catalog` does."""
    names = file_names([(each.namespace, each.workload) for each in workloads])
    for each, name in zip(workloads, names, strict=True):
        (folder / f"{name}.yaml").write_text(document(each, name, str(folder)))
    return load(catalog_paths(None, [folder], example=False))


@pytest.mark.parametrize("resource", [DEPLOYMENTS, STATEFULSETS, DAEMONSETS], ids=lambda each: each.singular)
def test_the_document_of_a_workload_is_a_service_that_derives_the_rest(tmp_path: Path, resource: Resource) -> None:
    catalog = loaded(tmp_path, found(resource, "web"))
    (service,) = catalog.services.values()
    assert (service.name, service.namespace, service.selector) == ("web", "shop", NOTHING)
    assert service.workload == WorkloadRef(resource=resource, name="web")
    assert service.runbook == "workload-recovery"
    assert {rule.service for rule in catalog.rules.values()} == {"web"}


def test_each_derived_value_stands_in_a_comment_and_means_what_is_derived(tmp_path: Path) -> None:
    each = found(DEPLOYMENTS, "web")
    (derived,) = loaded(tmp_path, each).services.values()
    text = document(each, "web", "catalog").partition("  # A ready pod")[0]
    (tmp_path / "web.yaml").write_text(re.sub(r"^  # (\w+:)", r"  \1", text, flags=re.MULTILINE))
    (said,) = load(catalog_paths(None, [tmp_path], example=False)).services.values()
    assert str(said.selector) == "app=web"
    assert replace(said, selector=NOTHING, healthy=derived.healthy) == derived
    assert said.healthy.source == derived.healthy.source


NAMES = ["web", "123", "true", "null", "1e3", "0x1f", "web.v1", f"{'w' * 120}", "off"]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_never_read_as_something_else(tmp_path: Path, name: str) -> None:
    (service,) = loaded(tmp_path, found(DEPLOYMENTS, name)).services.values()
    assert service.workload.name == name


def test_workloads_of_one_name_are_told_apart_by_their_types_and_else_by_their_namespaces(tmp_path: Path) -> None:
    catalog = loaded(
        tmp_path,
        found(DEPLOYMENTS, "web"),
        found(STATEFULSETS, "web"),
        found(DAEMONSETS, "agent"),
        found(DEPLOYMENTS, "api"),
        replace(found(DEPLOYMENTS, "api"), namespace="till"),
    )
    assert set(catalog.services) == {
        "deployment-web",
        "statefulset-web",
        "agent",
        "shop-deployment-api",
        "till-deployment-api",
    }


def test_the_manager_of_a_workload_is_said_beside_it() -> None:
    text = document(found(DEPLOYMENTS, "web", "app=web", "Argo CD shop"), "web", "catalog")
    assert "# Argo CD shop would revert changes of its template: Kintsugi refuses those." in text


def test_services_whose_kubernetes_services_variables_name_are_suggested_as_upstreams(tmp_path: Path) -> None:
    db = replace(found(STATEFULSETS, "db"), kube_services=("db-front",))
    here, there = (ServiceHost(service="db-front", namespace=namespace) for namespace in ("shop", "till"))
    web = replace(found(DEPLOYMENTS, "web"), hosts=frozenset({here}))
    others = {"db": db, "web": web, "db-of-till": replace(db, namespace="till"), "api": found(DEPLOYMENTS, "api")}
    assert upstreams_of(web, others) == ("db",)
    assert upstreams_of(replace(web, hosts=frozenset({there})), others) == ("db-of-till",)
    assert upstreams_of(db, others) == ()
    text = document(web, "web", "catalog", ("db",))
    assert "  # dependsOn: [db]                         # the services that this one needs" in text


def test_a_check_is_written_for_the_rule_that_asks_it(tmp_path: Path) -> None:
    url = "http://web.shop:8080/health?full=yes&deep=1"
    catalog = loaded(tmp_path, replace(found(DEPLOYMENTS, "web"), check=url))
    assert list(catalog.services["web"].checks) == ["smoke"]
    rule = catalog.rules["web-does-not-answer"]
    assert (rule.on, rule.check) == (RuleSource.CHECK, "smoke")
    secure = document(replace(found(DEPLOYMENTS, "web"), check="https://web.shop/"), "web", "catalog")
    assert 'run: "curl -k https://web.shop/"' in secure


PIECES = (
    *(
        "\n",
        "\r",
        "\x85",
        "\u2028",
        "\x00",
        "\x1b[2J",
        "\ud800",
        "\u202e",
        "---",
        "...",
        "apiVersion: kintsugi.dev/v1alpha1",
    ),
    *(
        "kind: Runbook",
        "metadata: {name: x}",
        "spec: {on: pod}",
        "# ",
        " ",
        "'",
        '"',
        "\\",
        "%0a",
        "&",
        "*x",
        "!!python",
    ),
    *("${", "$", "$${", "}", "${services[0].name}", "${", "{", "/", "../", "/../x", "?a=b", "#", "web", "A", "é", ""),
)
SHIPPED = load(catalog_paths(None, [], example=False)).runbooks
HOSTILE = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)
NAMED = st.one_of(*[st.just("web")] * 9, HOSTILE)
QUIET = {"name": "web", "place": "web", "service": "web", "port": 80, "texts": ("", "Market", "main", "market")}


def applied(name: str, place: str, service: str, path: str, texts: tuple[str, ...], port: int) -> FoundWorkload:
    """Read a Deployment as a hostile API server shows it, and the Service before it. Raises UsageError."""
    key, kind, owner, tool = texts
    container = {"name": "web", "readinessProbe": {"httpGet": {"path": path, "port": 8080}}}
    labels = {f"app{key}": key}
    metadata = {
        "name": name,
        "namespace": place,
        "annotations": {"argocd.argoproj.io/tracking-id": tool},
        "ownerReferences": [{"apiVersion": "v1", "kind": kind, "name": owner, "uid": "u", "controller": True}],
    }
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    workload = {"metadata": metadata, "spec": {"selector": {"matchLabels": labels}, "template": template}}
    ports = [{"port": port, "targetPort": 8080}]
    front = {"metadata": {"name": service, "namespace": place}, "spec": {"selector": labels, "ports": ports}}
    kube_service = api_objects.convert(front, KubeService)
    return found_workload(WorkloadRef(resource=DEPLOYMENTS, name=name), workload, [kube_service])


@settings(max_examples=25, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@example(**QUIET, path="/a${services[0].name}$$${x}'${")
@example(**QUIET, path="${")
@example(**{**QUIET, "texts": ("", "Market\n---\nkind: Runbook", "main", "")}, path="/")
@example(**{**QUIET, "name": "/../x"}, path="/")
@given(
    name=NAMED,
    place=NAMED,
    service=NAMED,
    path=HOSTILE,
    texts=st.tuples(HOSTILE, HOSTILE, HOSTILE, HOSTILE),
    port=st.sampled_from([80, 8080, 0, 99999]),
)
def test_a_workload_of_a_hostile_api_server_is_written_as_one_service_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    place: str,
    service: str,
    path: str,
    texts: tuple[str, ...],
    port: int,
) -> None:
    try:
        each = applied(name, place, service, path, texts, port)
    except UsageError:
        return
    folder = tmp_path_factory.mktemp("catalog")
    catalog = loaded(folder, each)
    (written,) = folder.iterdir()
    (made,) = catalog.services.values()
    assert (made.name, made.namespace, str(made.workload)) == (written.stem, place, f"deployment/{name}")
    assert catalog.runbooks.keys() == SHIPPED.keys()
    assert {rule.service for rule in catalog.rules.values()} == {made.name}
    assert list(made.checks) == (["smoke"] if each.check else [])
    for step in made.checks.get("smoke", ()):
        assert isinstance(step.do, Run)
        asked = step.do.command.bind({}, namespace=place)
        assert isinstance(asked, Curl)
        assert asked.url == each.check == f"http://{service}.{place}{'' if port == 80 else ':8080'}/{path.lstrip('/')}"


def test_two_workloads_whose_names_differ_in_a_dot_or_at_their_ends_have_a_file_each() -> None:
    long = "w" * 60
    named = [("shop", WorkloadRef(resource=DEPLOYMENTS, name=each)) for each in ("a.b", "a-b", f"{long}1", f"{long}2")]
    assert len(set(file_names(named))) == len(named)
