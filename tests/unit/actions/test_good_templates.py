"""The last good template of a workload: kept without its secrets or with them encrypted, found again, and gone back to."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from kintsugi.actions.command_secrets import Encryption
from kintsugi.actions.good_templates import GoodTemplates, with_values, withheld, without_values
from kintsugi.actions.workload_reads import find_revisions
from kintsugi.commands import decode
from kintsugi.ledger import Ledger
from kintsugi.model.command import ObjectName
from kintsugi.verbs.rollout import Rollout
from kubediagnosis.ports import KeptTemplate
from kubeobjects.owners import operators
from kubeobjects.resources import DEPLOYMENTS
from tests.unit.actions.changes import Cluster, stored
from tests.unit.actions.cluster_of_dicts import NOW
from tests.unit.actions.samples import NAMESPACE, deployment, replica_set

WEB = ObjectName(resource=DEPLOYMENTS, name="web")
TOKEN = "containers[web].env[API_TOKEN]"
SECRET, PROGRAM = "hunter2", "serve --token=hunter2"
OWNER = {"apiVersion": "shop/v1", "kind": "Shop", "name": "main", "uid": "uid-shop", "controller": True}


def container(image: str, token: str = SECRET, **more: object) -> dict[str, Any]:
    """Make a container with a variable, a program and a probe that may each hold a secret."""
    return {
        "name": "web",
        "image": image,
        "env": [
            {"name": "API_TOKEN", "value": token},
            {"name": "GREETING", "value": SECRET},
            {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "web", "key": "password"}}},
        ],
        "args": ["-c", PROGRAM],
        "readinessProbe": {"exec": {"command": ["check", SECRET]}, "periodSeconds": 5},
        **more,
    }


def template(image: str, token: str = SECRET) -> dict[str, Any]:
    """Make a pod template."""
    metadata = {"labels": {"app": "web"}, "creationTimestamp": None, "annotations": {"api-key": SECRET}}
    return {"metadata": metadata, "spec": {"containers": [container(image, token)], "nodeSelector": {"disk": "ssd"}}}


def cluster(image: str, token: str = SECRET, uid: str = "uid-web", templates: GoodTemplates | None = None) -> Cluster:
    """Make a Deployment with one revision, its ReplicaSet's hash being `hash-1`."""
    workload, revision = deployment(revision=1), replica_set(1, image)
    workload["metadata"]["uid"] = revision["metadata"]["ownerReferences"][0]["uid"] = uid
    workload["spec"]["template"] = template(image, token)
    pods = template(image, token)
    pods["metadata"]["labels"]["pod-template-hash"] = "hash-1"
    revision["spec"]["template"] = pods
    return Cluster(workload, revision, templates=templates)


def key_file(folder: Path) -> Path:
    """Write a file with one key."""
    file = folder / "keys"
    file.write_text(base64.b64encode(bytes([1]) * 32).decode())
    return file


async def kept_good(ledger: Ledger, keys: Path | None = None) -> GoodTemplates:
    """Keep web:1 as the last good template of a Deployment that has another uid by now."""
    templates, kube = GoodTemplates(ledger.good_state, Encryption(keys)), cluster("web:1", uid="uid-before")
    workload = await kube.get(DEPLOYMENTS, "web", NAMESPACE)
    (revision,) = await find_revisions(kube, WEB, workload, ())
    assert await templates.keep(WEB, NAMESPACE, revision, workload=workload, seen=NOW)
    return templates


BACK = "kubectl rollout undo deployment/web --to-good-template"


def pods_of(kube: Cluster) -> Mapping[str, Any]:
    """Return the template in force."""
    pods: Mapping[str, Any] = kube.at(DEPLOYMENTS, "web")["spec"]["template"]
    return pods


async def last_good(templates: GoodTemplates, kube: Cluster) -> KeptTemplate:
    """Return the kept template, with the values that stand in the Deployment as it is now."""
    kept = await templates.find("deployment", NAMESPACE, "web", kube.at(DEPLOYMENTS, "web"))
    assert kept is not None
    return kept


def test_values_that_may_be_secrets_are_withheld_by_their_field_and_put_in_again() -> None:
    whole = template("web:1")
    document, values = without_values(whole)
    assert SECRET not in orjson.dumps(document).decode()
    assert set(values) == {
        "containers[web].env[API_TOKEN]",
        "containers[web].env[GREETING]",
        "containers[web].args",
        "containers[web].readinessProbe.exec",
        "annotations.api-key",
    }
    assert set(withheld(document)) == set(values)
    del whole["metadata"]["creationTimestamp"]
    assert with_values(document, values) == whole


def test_containers_of_one_name_each_keep_their_own_values() -> None:
    pair = {"spec": {"containers": [container("a", "one"), {**container("b", "two")}]}}
    document, values = without_values(pair)
    assert with_values(document, values) == pair
    assert len(values) == 8


async def test_no_secret_of_a_template_is_written_down(ledger: Ledger, tmp_path: Path) -> None:
    """P8: neither without a key nor with one."""
    for keys in (None, key_file(tmp_path)):
        await kept_good(ledger, keys)
        kept = await ledger.good_state.good_template("deployment", NAMESPACE, "web")
        assert kept is not None
        assert SECRET not in f"{kept}"
        assert kept.withheld.startswith("enc:aesgcm:v1:") is (keys is not None)


async def test_a_template_is_found_whole_where_what_is_not_kept_is_as_it_was_and_else_it_is_named(
    ledger: Ledger,
) -> None:
    templates, gone = await kept_good(ledger), cluster("web:2")
    whole = await last_good(templates, cluster("web:2"))
    assert (whole.missing, whole.pods["spec"]) == ((), template("web:1")["spec"])
    assert TOKEN in (await last_good(templates, cluster("web:2", token="changed"))).missing
    del pods_of(gone)["spec"]["containers"][0]["env"][0]
    assert (await last_good(templates, gone)).missing == (TOKEN,)


async def test_a_template_is_found_whole_with_its_key_whatever_stands_there_by_now(
    ledger: Ledger, tmp_path: Path
) -> None:
    file = key_file(tmp_path)
    templates, kube = await kept_good(ledger, file), cluster("web:2", token="changed")
    whole = await last_good(templates, kube)
    assert (whole.missing, whole.pods["spec"]) == ((), template("web:1")["spec"])
    file.write_text(base64.b64encode(bytes([2]) * 32).decode())
    assert TOKEN in (await last_good(templates, kube)).missing


def as_written(image: str) -> dict[str, Any]:
    """Return the Deployment as a person would write it."""
    pods = template(image)
    del pods["metadata"]["creationTimestamp"]
    metadata = {"name": "web", "namespace": NAMESPACE, "labels": {"team": "a"}, "annotations": {"api-key": SECRET}}
    spec = {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": pods}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


@pytest.mark.parametrize("has_key", [True, False])
async def test_a_workload_is_kept_as_a_person_would_write_it(ledger: Ledger, tmp_path: Path, has_key: bool) -> None:
    templates = GoodTemplates(ledger.good_state, Encryption(key_file(tmp_path) if has_key else None))
    kube = cluster("web:1")
    written = as_written("web:1")
    written["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "1"
    written["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = SECRET
    written["metadata"] |= {"uid": "uid-web", "resourceVersion": "7", "ownerReferences": [OWNER]}
    (revision,) = await find_revisions(kube, WEB, kube.at(DEPLOYMENTS, "web"), ())
    assert await templates.keep(WEB, NAMESPACE, revision, workload={**written, "status": {"replicas": 3}}, seen=NOW)
    found = await templates.manifest("deployment", NAMESPACE, "web")
    assert found is not None
    assert [str(each) for each in operators(found.metadata)] == ["operator Shop/main"]
    assert "api-key" in found.metadata.annotations if has_key else found.missing[0] == "annotations.api-key"
    assert (found.document == as_written("web:1")) is has_key
    kept = await ledger.good_state.good_template("deployment", NAMESPACE, "web")
    assert SECRET not in f"{kept}"


async def test_a_workload_goes_back_to_its_kept_template_and_forth_again(ledger: Ledger) -> None:
    kube = cluster("web:2", templates=await kept_good(ledger))
    plan = await kube.plan(f"{BACK} --current-revision=1")
    result = await kube.actions.apply(plan)
    assert pods_of(kube)["spec"] == template("web:1")["spec"]
    assert result.summary == (
        "deployment/web rolled back from revision 1 (image web:2) to its last good template (image web:1)"
        " from the ledger"
    )
    assert SECRET not in stored(plan)
    undo = decode(plan.undo.commands[0])
    assert isinstance(undo, Rollout)
    assert undo.template is not None
    await kube.undo(plan)
    assert pods_of(kube)["spec"] == template("web:2")["spec"]


async def test_no_way_back_to_a_kept_template_is_refused(ledger: Ledger) -> None:
    """A good revision of Kubernetes goes before one, too."""
    for none_kept in (None, GoodTemplates(ledger.good_state)):
        kube = cluster("web:2", templates=none_kept)
        assert "no good template of deployment/web is kept" in await kube.refusal(BACK)
    templates = await kept_good(ledger)
    two = Cluster(deployment(), replica_set(1, "web:1"), replica_set(2, "web:2"), templates=templates)
    for kube, command, good, reason in (
        (cluster("web:1", templates=templates), BACK, "", "has its last good template already"),
        (
            cluster("web:2", templates=templates),
            f"{BACK} --current-revision=3",
            "",
            "is not at revision 3 any more, but at revision 1",
        ),
        (cluster("web:2", token="changed", templates=templates), BACK, "", "API_TOKEN"),
        (two, BACK, "hash-1", "revision 1 of deployment/web was seen good: roll back to that revision"),
    ):
        assert reason in await kube.refusal(command, good=frozenset({good}))
