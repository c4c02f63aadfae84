"""Kintsugi installed by Helm on a real Kubernetes, as people install it: it heals, is upgraded, goes back, and goes."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from kintsugi.catalog import load
from kintsugi.catalog.library import catalog_paths
from kintsugi.commands import parse
from kintsugi.commands.registry import definition_of
from kintsugi.commands.verb_definition import PolicyRule
from tests.cluster.conftest import PATIENT, clear, remove
from tests.cluster.database import free_volume
from tests.cluster.installed_daemon import InstalledDaemon, asked_in
from tests.cluster.story import ClusterStory
from tests.harness import deployed_daemon, manifests, parts
from tests.harness.cluster import KubectlError, RealCluster
from tests.harness.faults import Faults
from tests.harness.helm import CHART, DOCUMENTED, NAME, TEMPLATES, Helm, HelmError, documented
from tests.harness.waiting import wait_for

pytestmark = pytest.mark.cluster

OTHER = "a-webhook-s-token-of-elsewhere"
IMAGE = {"image": {"repository": "registry.example.com/kintsugi"}}

SHOP = """
apiVersion: kintsugi.dev/v1alpha1
kind: Service
metadata: {name: shop-front}
spec:
  priority: 1
  namespace: production
  selector: app=web-app
  workload: deployment/web-app-deployment
  healthy: desired > 0 && ready >= desired
  runbook: shop-recovery
---
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {name: shop-front-pods}
spec:
  on: pod
  service: shop-front
  when: object.unhealthy
  for: 2m
  mode: auto
  cooldown: 10m
---
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {name: shop-recovery}
spec:
  title: Recover the shop's front
  steps:
    - id: restart
      forEach: service.pods
      when: each.unhealthy
      run: kubectl delete pod ${each}
      expect: service.ready >= service.desired
      within: 20h
    - id: open
      name: Wait until the shop is open again
      run: kubectl get pods -l shop=open
      expect: size(items) > 0
      within: 20h
  rollback:
    after: 48h
"""
"""What a user adds to the shipped runbooks."""

THREE_LINES: Sequence[Mapping[str, Any]] = [
    {"name": "shop-front", "namespace": "production", "workload": "deployment/web-app-deployment"},
    {
        "name": "shop-store",
        "namespace": "shop",
        "workload": "statefulset/store",
        "dependsOn": [],
        "rules": {"alerts": {"enabled": False}},
    },
]

OF_A_CRONJOB = "kubectl create job now --from=cronjob/nightly"
DEFINED = ("servicemonitors", "prometheusrules")
WATCHED = {
    "serviceMonitor": {"enabled": True, "labels": {"release": "kube-prometheus-stack"}, "interval": "15s"},
    "prometheusRule": {"enabled": True, "severity": "page", "runbookUrl": "https://wiki.example/metrics"},
}

ACCEPTED: Mapping[str, Mapping[str, Any]] = {
    "as it comes": {},
    "as documented": DOCUMENTED,
    "approving, in two namespaces": {"mode": "approve", "namespaces": ["production", "ingress"]},
    "with nodes and evictions": {
        "namespaces": ["production"],
        "nodes": {"cordon": True, "drain": True},
        "evictions": True,
    },
    "with types of one's own": {
        "namespaces": ["production"],
        "rbac": {"readKinds": ["kafkas.kafka.strimzi.io"], "changeKinds": ["rollouts.argoproj.io"]},
    },
    "on PostgreSQL": {"ledger": {"postgresql": {"existingSecret": "ledger"}}},
    "a claim that is there": {"ledger": {"sqlite": {"existingClaim": "old"}}},
    "a class": {"ledger": {"sqlite": {"storageClassName": "fast", "size": "5Gi"}}},
    "services in three lines": {"services": THREE_LINES, "namespaces": ["production"]},
    "documents of one's own": {"catalog": {"documents": {"shop.yaml": SHOP}, "configMaps": ["more", "of.others"]}},
    "encrypted": {"ledger": {"encryption": {"enabled": True}}},
    "TLS and an ingress": {
        "tls": {"existingSecret": "cert"},
        "ingress": {"enabled": True, "className": "nginx", "hosts": ["kintsugi.example.com"]},
    },
    "an account that is there": {"serviceAccount": {"create": False, "name": "default"}, "rbac": {"create": False}},
    "watched by a Prometheus": WATCHED,
    "beside a network policy that bounds both ways": {
        "networkPolicy": {
            "enabled": True,
            "operators": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}],
            "egress": [{"to": [{"ipBlock": {"cidr": "203.0.113.10/32"}}], "ports": [{"port": 6443}]}],
        }
    },
    "by digest": {"image": {"repository": "registry.example.com/kintsugi", "digest": f"sha256:{'0' * 64}"}},
    "as people place pods": {
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "infra", "operator": "Exists"}],
        "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
        "volumes": [{"name": "ca", "configMap": {"name": "ca"}}],
        "volumeMounts": [{"name": "ca", "mountPath": "/etc/ca"}],
        "podAnnotations": {"example.com/team": "platform"},
        "priorityClassName": "system-cluster-critical",
        "settings": {"guards": {"protectedNamespaces": ["payments"]}, "telemetry": {"logFormat": "console"}},
    },
}

REFUSED: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "no image": ({"image": {"repository": ""}}, "image.repository: set the repository of the Kintsugi image"),
    "no such mode": ({"mode": "on"}, "mode"),
    "a key that is none": ({"namespace": "production"}, "namespace"),
    "a namespace that is none": ({"namespaces": ["Production"]}, "namespaces"),
    "a digest that is none": ({"image": {"repository": "registry.example.com/kintsugi", "digest": "latest"}}, "digest"),
    "a service without its workload": ({"services": [{"name": "front", "namespace": "shop"}]}, "workload"),
    "a workload that is none": (
        {"services": [{"name": "front", "namespace": "shop", "workload": "pod/front"}]},
        "services/0/workload",
    ),
    "documents that are none": ({"catalog": {"documents": {"shop": SHOP}}}, "catalog/documents"),
    "an ingress to nowhere": ({"ingress": {"enabled": True}}, "ingress.hosts: set the host"),
    "one port for both": ({"service": {"port": 8080, "healthPort": 8080}}, "service.healthPort: set a port"),
    "two ledgers": (
        {"ledger": {"postgresql": {"existingSecret": "url"}, "sqlite": {"existingClaim": "old"}}},
        "ledger: set either",
    ),
    "a size that is none": ({"ledger": {"sqlite": {"size": "1.2.3Gi"}}}, "ledger/sqlite/size"),
    "a namespace of the cluster itself": (
        {"namespaces": ["kube-system"]},
        "namespaces: remove kube-system",
    ),
    "the mode among the settings": ({"settings": {"mode": "auto"}}, "settings.mode: set the value mode"),
    "a port among the settings": ({"settings": {"server": {"port": 80}}}, "settings.server.port: the chart sets"),
    "a setting that is none": ({"settings": {"guards": {"cooldwn": "5m"}}}, "settings/guards"),
    "a budget below nothing": ({"settings": {"guards": {"budget": -3}}}, "settings/guards/budget"),
    "a duration without a unit": ({"settings": {"guards": {"budgetWindow": 90}}}, "settings/guards/budgetWindow"),
    "a variable without a name": ({"env": [{"nam": "A"}]}, "env"),
    **{
        f"the right to read {each}": ({"rbac": {"readKinds": [each]}}, "rbac/readKinds/0")
        for each in ("secrets", "secrets.v1", "pods/exec", "*", "*.cert-manager.io", "Certificate")
    },
    **{
        f"the right to change {each}": ({"rbac": {"changeKinds": [each]}}, "rbac/changeKinds/0")
        for each in ("configmaps", "*.cert-manager.io", "roles.rbac.authorization.k8s.io")
    },
    "the right to Secrets everywhere": ({"rbac": {"readSecrets": ["*"]}}, "rbac/readSecrets/0"),
    "no account": ({"serviceAccount": {"create": False}}, "serviceAccount.name: set the name of the existing account"),
}


PAGE_OF_ALERT = """\
# Web pods hang

- Look at the pod: `kubectl -n $NAMESPACE describe pod $POD`
- Look at all pods: `kubectl -n $NAMESPACE get pods`
- Look at its log: `kubectl -n $NAMESPACE logs $POD --tail=3`
- Look at its Events: `kubectl -n $NAMESPACE events --for=pod/$POD`
- Look at its certificates: `kubectl -n $NAMESPACE get configmap kube-root-ca.crt`
- Delete it: `kubectl -n $NAMESPACE delete pod $POD`
"""


@pytest.fixture(scope="module", autouse=True)
def _built() -> None:
    reason = parts.obstacle("helm")
    if reason:
        pytest.skip(reason)


@pytest.fixture
def helm(cluster: RealCluster, tmp_path: Path) -> Helm:
    """Return helm for a release in a namespace that enforces the pod security standard `restricted`."""
    # What is enforced looks at pods alone; the warning looks at what makes them, too.
    labels = {f"pod-security.kubernetes.io/{each}": "restricted" for each in ("enforce", "warn")}
    cluster.apply(
        *(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": each}
            for each in ({"name": "kintsugi", "labels": labels}, {"name": "production"}, {"name": "ingress"})
        )
    )
    return Helm(folder=tmp_path, kubeconfig=cluster.kubeconfig)


@pytest.fixture(scope="module")
def definitions(cluster: RealCluster) -> Iterator[None]:
    """Let the API server know what a Prometheus operator defines."""
    if reason := parts.obstacle("prometheus-operator"):
        pytest.skip(reason)
    found = parts.parts("prometheus-operator")
    files = [f"--filename={found.binary(f'monitoring.coreos.com_{kind}.yaml')}" for kind in DEFINED]
    cluster.kubectl("create", *files)
    state = ("get", *files, "-o", "jsonpath={.items[*].status.conditions[?(@.status=='True')].type}")

    def known() -> bool:
        return cluster.kubectl(*state).split().count("Established") == len(DEFINED)

    wait_for(known, within=60, describe=lambda: cluster.kubectl(*state))
    yield
    cluster.kubectl("delete", "--wait=false", *files)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_manifest_of_the_documentation_is_what_the_chart_renders(helm: Helm, name: str) -> None:
    assert (CHART.parents[1] / "docs" / name).read_text() == documented(helm, name), "run `make docs`"


@pytest.mark.parametrize(
    ("values", "lines"),
    [
        ({}, ()),
        ({"nodes": {"cordon": True}}, ("kubectl cordon node-1",)),
        ({"nodes": {"drain": True}}, ("kubectl cordon node-1", "kubectl drain node-1", "kubectl evict-pod web-1")),
        ({"evictions": True, "namespaces": ["production"]}, ("kubectl evict-pod web-1",)),
        ({"evictions": False, "cronJobs": True, "namespaces": ["production"]}, (OF_A_CRONJOB,)),
    ],
    ids=["as it comes", "cordon", "drain", "evictions", "Jobs of CronJobs"],
)
def test_rights_to_nodes_and_evictions_and_jobs_are_granted_where_the_values_say_so(
    helm: Helm, values: Mapping[str, Any], lines: Sequence[str]
) -> None:
    """Each right that the verb says it needs, beside what everything is watched with; and none of it unless it is said."""
    granted = granted_by(helm.template({**IMAGE, **values}))
    for line in ("kubectl cordon node-1", "kubectl drain node-1", "kubectl evict-pod web-1", OF_A_CRONJOB):
        needed = {str(rule) for rule in definition_of(parse(line, namespace="production")).rules}
        assert (needed <= granted) is (line in lines), (line, needed - granted)


def test_the_types_that_steps_may_read_are_granted_to_be_read_where_the_values_name_them(helm: Helm) -> None:
    kinds = ["certificates.cert-manager.io", "configmaps"]
    granted = granted_by(helm.template({**IMAGE, "rbac": {"readKinds": kinds}}))
    assert granted - granted_by(helm.template(IMAGE)) == {
        f"{verb} {kind}" for kind in kinds for verb in ("get", "list")
    }


def test_the_types_that_steps_may_change_are_granted_in_the_namespaces_and_told_to_the_daemon(helm: Helm) -> None:
    values = {**IMAGE, "namespaces": ["production"]}
    rendered = helm.template({**values, "rbac": {"changeKinds": ["rollouts.argoproj.io"]}})
    assert granted_by(rendered) - granted_by(helm.template(values)) == {
        f"{verb} {kind}" for verb in ("get", "patch") for kind in ("rollouts.argoproj.io", "rollouts/scale.argoproj.io")
    }
    objects = [each for each in yaml.safe_load_all(rendered) if each]
    (role,) = [each["metadata"]["name"] for each in objects if "argoproj.io" in str(each.get("rules"))]
    assert [each["kind"] for each in objects if each.get("roleRef", {}).get("name") == role] == ["RoleBinding"]
    (settings,) = [each["data"]["kintsugi.yaml"] for each in objects if "kintsugi.yaml" in each.get("data", {})]
    assert yaml.safe_load(settings)["guards"] == {"changeKinds": ["rollouts.argoproj.io"]}


def test_the_right_to_read_rows_of_secrets_is_bound_in_the_namespaces_that_the_values_name(helm: Helm) -> None:
    rendered = helm.template({**IMAGE, "rbac": {"readSecrets": ["production", "ingress"]}})
    assert granted_by(rendered) - granted_by(helm.template(IMAGE)) == {"get secrets", "list secrets"}
    bound = [
        (each["kind"], each["metadata"].get("namespace"))
        for each in yaml.safe_load_all(rendered)
        if each and each.get("roleRef", {}).get("name") == "kintsugi-read-secrets"
    ]
    assert bound == [("RoleBinding", "production"), ("RoleBinding", "ingress")]


def granted_by(rendered: str) -> set[str]:
    """Return the rights of all roles, as a verb names them."""
    rules = [rule for each in yaml.safe_load_all(rendered) if each for rule in each.get("rules", ())]
    return {
        str(PolicyRule(api_group=group, resource=resource, verb=verb))
        for rule in rules
        for group in rule.get("apiGroups", ())
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.mark.parametrize("name", ACCEPTED)
def test_the_chart_is_accepted_whole_by_an_api_server(
    cluster: RealCluster, helm: Helm, definitions: None, name: str
) -> None:
    """By a dry run on the server's side, where pods must be `restricted`; and by `helm lint --strict`."""
    values = {**IMAGE, **ACCEPTED[name]}
    assert "0 chart(s) failed" in helm.lint(values)
    file = helm.folder / "rendered.yaml"
    file.write_text(helm.template(values))
    assert "deployment.apps/kintsugi" in dry_run(cluster, file)


def test_a_pod_that_asks_for_more_than_restricted_is_refused_by_the_dry_run(cluster: RealCluster, helm: Helm) -> None:
    file = helm.folder / "rendered.yaml"
    file.write_text(helm.template(IMAGE).replace("allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true"))
    with pytest.raises(KubectlError, match="would violate PodSecurity"):
        dry_run(cluster, file)


def dry_run(cluster: RealCluster, file: Path) -> str:
    """Return what an API server would make of a file; a warning is an error. Raises KubectlError."""
    strict = ("--dry-run=server", "--validate=strict", "--warnings-as-errors")
    return cluster.kubectl("apply", *strict, "-f", str(file))


ALERTS: Mapping[str, Mapping[str, str]] = {
    "KintsugiDown": {"up{SERIES}": "0x60"},
    "KintsugiInDoubt": {"kintsugi_in_doubt{SERIES}": "1x60"},
    "KintsugiWatchdogOverdue": {'kintsugi_watchdogs{state="overdue", SERIES}': "1x60"},
    "KintsugiDeadLetters": {"kintsugi_dead_letters_total{SERIES}": "0x50 1x10"},
    "KintsugiCatalogRefused": {'kintsugi_catalog_loads_total{outcome="refused", SERIES}': "0x50 1x10"},
}
WELL = {
    "up{SERIES}": "1x60",
    "kintsugi_in_doubt{SERIES}": "0x60",
    'kintsugi_watchdogs{state="overdue", SERIES}': "0x60",
    "kintsugi_dead_letters_total{SERIES}": "3x60",
    'kintsugi_catalog_loads_total{outcome="refused", SERIES}': "1x60",
}
SERIES = f'job="{NAME}", namespace="{NAME}"'


@pytest.mark.parametrize("fires", ["", *ALERTS])
def test_an_alert_of_the_chart_fires_by_its_own_series_alone(helm: Helm, fires: str) -> None:
    """By promtool, after an hour of a sample each minute."""
    rendered = yaml.safe_load(helm.template({**IMAGE, **WATCHED}, "--show-only=templates/prometheusrule.yaml"))
    (helm.folder / "rules.yaml").write_text(yaml.safe_dump(rendered["spec"]))
    shown = {**WELL, **ALERTS.get(fires, {})}
    series = [{"series": name.replace("SERIES", SERIES), "values": values} for name, values in shown.items()]
    tests = [{"alertname": each, "eval_time": "1h", "exp_alerts": []} for each in ALERTS if each != fires]
    case = {"interval": "1m", "input_series": series, "alert_rule_test": tests}
    checks = helm.folder / "checks.yaml"

    def passes(cases: Sequence[Mapping[str, Any]]) -> bool:
        checks.write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": cases}))
        done = subprocess.run(["promtool", "test", "rules", str(checks)], capture_output=True, text=True, check=False)
        return done.returncode == 0

    assert passes([case])
    if fires:
        assert not passes([{**case, "alert_rule_test": [{"alertname": fires, "eval_time": "1h", "exp_alerts": []}]}])


@pytest.mark.parametrize(("catalog", "example"), [({}, False), ({"example": True}, True)])
def test_the_services_of_the_example_are_off_until_they_are_asked_for(
    helm: Helm, catalog: Mapping[str, bool], example: bool
) -> None:
    """That they are off shows in the stories: the daemon knows no service but the test's own."""
    rendered = yaml.safe_load(helm.template({**IMAGE, "catalog": catalog}, "--show-only=templates/settings.yaml"))
    assert yaml.safe_load(rendered["data"]["kintsugi.yaml"])["catalog"]["example"] is example


@pytest.mark.parametrize("text", [SHOP, SHOP.lstrip(), "  - odd: |\n      text\n", "a: 'x'"])
def test_documents_come_to_the_daemon_as_they_were_written(helm: Helm, text: str) -> None:
    values = {**IMAGE, "catalog": {"documents": {"shop.yaml": text}}}
    rendered = yaml.safe_load(helm.template(values, "--show-only=templates/documents.yaml"))
    assert rendered["data"] == {"shop.yaml": text}


def test_services_in_three_lines_come_to_the_daemon_as_documents_with_what_else_they_say(helm: Helm) -> None:
    """As the daemon reads them, with what is shipped."""
    rendered = yaml.safe_load(helm.template({**IMAGE, "services": THREE_LINES}, "--show-only=templates/services.yaml"))
    [(name, text)] = rendered["data"].items()
    (folder := helm.folder / "services").mkdir()
    (folder / name).write_text(text)
    services = load(catalog_paths(None, [folder], example=False)).services
    assert sorted(services) == ["shop-front", "shop-store"]
    assert str(services["shop-store"].workload) == "statefulset/store"


@pytest.mark.parametrize("name", REFUSED)
def test_bad_values_get_an_error_that_names_them(helm: Helm, name: str) -> None:
    values, expected = REFUSED[name]
    with pytest.raises(HelmError) as refused:
        helm.template({**IMAGE, **values})
    assert expected in str(refused.value)
    assert str(refused.value).count("\n") <= 4, str(refused.value)


@pytest.fixture
def room(cluster: RealCluster, helm: Helm) -> Iterator[None]:
    """A volume that the ledger's claim may take; the release and what it keeps go with the test."""
    cluster.apply(free_volume(NAME, "ledger", "1Gi"), manifests.secret(NAME, "elsewhere", webhook=OTHER))
    yield
    helm.uninstall()
    clear(cluster, NAME)
    for each in ("kintsugi-webhook", "kintsugi-operators", "elsewhere"):
        remove(cluster, "secret", each, NAME)
    remove(cluster, "configmap", "pages", NAME)


def open_run(daemon: InstalledDaemon) -> str:
    """Return the one run that there is, which is not over, and its one pod is deleted already."""
    [incident] = daemon.incidents()
    [run] = daemon.incident(incident["id"])["runs"]
    assert run["run"]["finished"] is None, run
    done = {each["path"] for each in run["steps"] if each["state"] == "done"}
    assert "restart[0]#0" in done, run
    return str(run["run"]["id"])


def installed(
    cluster: RealCluster, helm: Helm, image: str, **values: object
) -> tuple[Mapping[str, Any], InstalledDaemon, ClusterStory]:
    """Install a release that is found as its notes say, takes a canary and knows the front end as good; return its values, too."""
    whole = {"image": pushed(image), "namespaces": ["production"], "mode": "auto", **values}
    notes = helm.install(whole)
    daemon = InstalledDaemon(cluster=cluster, image=image, kubeconfig=cluster.kubeconfig, folder=helm.folder).find()
    assert "shop-front" in cluster.kubectl(*asked_in(notes, "kintsugi services"))
    assert "canary was accepted with the verdict no-rule" in helm.test()
    story = ClusterStory(cluster, "production", daemon, user=deployed_daemon.USER).begin(good="shop-front")
    return whole, daemon, story


@pytest.mark.heart
def test_installed_by_helm_with_a_service_of_three_lines_it_heals_a_pod_that_crash_loops(
    cluster: RealCluster, faults: Faults, web: str, names: None, helm: Helm, room: None, product_image: str
) -> None:
    """With the rights that the chart grants, and no document but what its values say."""
    settings = {"durations": 0.05, "deadlines": PATIENT}
    _, _, story = installed(cluster, helm, product_image, services=THREE_LINES[:1], settings=settings)
    victim = story.pods()[0]
    story.at("a pod crash-loops", lambda: faults.crash_loop(victim))
    story.within(180).ends("recovered", service="shop-front")
    assert story.deleted_by_daemon() == [victim["metadata"]["uid"]]
    assert story.answers(web) == 200


def test_a_page_that_the_chart_mounts_is_read_by_its_alert_and_nothing_is_changed(
    cluster: RealCluster, web: str, names: None, helm: Helm, room: None, product_image: str
) -> None:
    """With the rights that the chart grants."""
    metadata = {"name": "pages", "namespace": NAME}
    cluster.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"WebPodHangs.md": PAGE_OF_ALERT}}
    )
    service = {**THREE_LINES[0], "rules": {"alerts": {"enabled": False}}}
    pages, settings = {"configMaps": ["pages"]}, {"durations": 0.05, "deadlines": PATIENT}
    _, _, story = installed(cluster, helm, product_image, services=[service], pages=pages, settings=settings)
    before, named = story.uids(), story.pods()[0]["metadata"]["name"]

    labels = {"alertname": "WebPodHangs", "namespace": "production", "pod": named}
    story.at("an alert without a rule fires", lambda: story.alert("firing", labels))

    incident = story.within(60).ends("needs-operator", service="shop-front")
    head, _, report = incident["reason"].partition("\n")
    assert "the page pages/WebPodHangs.md (sha256:" in head
    assert [each.partition(": ")[0] for each in report.split("\n") if not each.startswith("    ")] == [
        "Found:",
        f"  kubectl describe pod {named} -n production",
        "  kubectl get pods -n production -l app=web-app",
        f"  kubectl logs pod/{named} -n production --tail=3",
        f"  kubectl events --for=pod/{named} -n production",
        "Left to a person, as on the page:",
        "  Delete it",
        "  $ kubectl -n $NAMESPACE delete pod $POD",
        "Not read:",
        "  kubectl get configmap kube-root-ca.crt -n production",
    ]
    assert (story.writes(), story.uids()) == ([], before)


def pushed(image: str) -> Mapping[str, str]:
    """Return the values for an image that the node has."""
    repository, _, tag = image.partition(":")
    return {"repository": repository, "tag": tag, "pullPolicy": "Never"}


def test_a_release_of_the_chart_heals_and_an_open_run_outlives_an_upgrade_a_rollback_and_the_release(
    cluster: RealCluster, faults: Faults, web: str, names: None, helm: Helm, room: None, product_image: str
) -> None:
    """P2, P8: with the rights that the chart grants, under the pod security standard `restricted`, and with tokens that it has made."""
    settings, documents = {"durations": 0.03, "deadlines": PATIENT}, {"shop.yaml": SHOP}
    values, daemon, story = installed(cluster, helm, product_image, catalog={"documents": documents}, settings=settings)
    assert [each["name"] for each in daemon.get("/api/v1/services")[1]["services"]] == ["shop-front"]
    victim = story.pods()[0]
    story.at("a pod crash-loops", lambda: faults.crash_loop(victim))
    story.within(90).sees("the pod is deleted", lambda: bool(story.deleted_by_daemon())).ready(3)
    run = wait_for(lambda: open_run(daemon), within=30, describe=story.state)
    tokens = daemon.tokens()

    [before] = daemon.pods()
    documents = {"shop.yaml": SHOP.replace("priority: 1", "priority: 2")}
    story.at("a document changes", lambda: helm.upgrade({**values, "catalog": {"documents": documents}}))
    story.within(240).sees("it is in force", lambda: priority(daemon) == "2")
    assert [each["metadata"]["uid"] for each in daemon.pods()] == [before["metadata"]["uid"]]
    assert open_run(daemon) == run

    story.at("upgraded", lambda: helm.upgrade(elsewhere(values)))
    assert "cooldown: 20m" in daemon.find().execute("cat", "/etc/kintsugi-catalog/own/shop.yaml")
    assert open_run(daemon) == run
    with pytest.raises(HelmError) as failed:
        helm.test()
    said = [line for line in str(failed.value).splitlines() if "error: the webhook rejects the token" in line]
    assert len(said) == 1, failed.value
    story.at("rolled back", helm.rollback)
    assert "cooldown: 20m" not in daemon.find().execute("cat", "/etc/kintsugi-catalog/own/shop.yaml")
    assert open_run(daemon) == run
    assert daemon.tokens() == tokens
    story.at("uninstalled", helm.uninstall)
    wait_for(lambda: not daemon.pods(), within=60, describe=daemon.pods)
    assert [each["metadata"]["name"] for each in cluster.list("pvc", NAME)] == ["kintsugi-ledger"]
    story.at("installed again", lambda: helm.install(values))
    assert open_run(daemon.find()) == run
    assert daemon.tokens() == tokens
    pod = story.pods()[0]["metadata"]["name"]
    story.at("the shop opens", lambda: cluster.kubectl("label", "pod", pod, "shop=open", "-n", "production"))
    story.within(90).ends("recovered")
    assert story.deleted_by_daemon() == [victim["metadata"]["uid"]]
    assert story.answers(web) == 200


def priority(daemon: InstalledDaemon) -> str:
    """Return the priority of the shop's front, as the daemon has it."""
    values = daemon.get("/api/v1/services/shop-front")[1]["values"]
    return next(str(each["value"]) for each in values if each["key"] == "priority")


def elsewhere(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the values with a rule that cools down for longer, and a daemon that takes another webhook's token than the chart's."""
    calm = SHOP.replace("cooldown: 10m", "cooldown: 20m")
    secret = {"name": "elsewhere", "projected": {"sources": [{"secret": {"name": "elsewhere"}}]}}
    return {
        **values,
        "catalog": {"documents": {"shop.yaml": calm}},
        "settings": {**values["settings"], "alertmanager": {"tokenFiles": ["/var/run/elsewhere/webhook"]}},
        "volumes": [secret],
        "volumeMounts": [{"name": "elsewhere", "mountPath": "/var/run/elsewhere"}],
    }
