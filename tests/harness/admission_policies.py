"""The admission policies of the documentation on a cluster: whose they are told of, in force, and taken away again."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import yaml

from tests.harness.api import ApiClient, ApiError
from tests.harness.cluster import RealCluster
from tests.harness.daemon import RIGHTS
from tests.harness.waiting import wait_for

POLICIES = RIGHTS.with_name("admission-policies.yaml")
NAMES = (
    "kintsugi-workloads",
    "kintsugi-exec",
    "kintsugi-jobs",
    "kintsugi-cronjobs",
    "kintsugi-volumes",
    "kintsugi-claims",
    "kintsugi-other-types",
)

Object = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """Who is held, to which images of workers and of drills, and to which Secrets: as the documentation has it, if not said."""

    user: str = "system:serviceaccount:kintsugi:kintsugi"
    image: str = "registry.example.com/kintsugi:0.1.0"
    server: str = "registry.example.com/postgres:16"
    secrets: tuple[str, ...] = ("database-credentials",)


SHOWN = Held()


def policies(held: Held = SHOWN) -> list[Object]:
    """Return the objects of the documentation, made somebody's own as it says."""
    text = POLICIES.read_text()
    said, own = _words(SHOWN), _words(held)
    assert [text.count(each) for each in said] == [len(NAMES), 1, 1, 1]
    for old, new in zip(said, own, strict=True):
        text = text.replace(old, new)
    return [each for each in yaml.safe_load_all(text) if each]


def _words(held: Held) -> tuple[str, ...]:
    return held.user, f"'{held.image}'", f"'{held.server}'", str(list(held.secrets))


def enforce(cluster: RealCluster, held: Held = SHOWN) -> None:
    """Apply them, and wait until the API server goes by each: a policy that always denies is the last one that it learns of."""
    cluster.apply(*policies(held))
    for name in NAMES:
        wait_for(partial(_is_checked, cluster, name), within=60, describe=lambda: _status(cluster))
    cluster.apply(*_last())
    wait_for(lambda: _denies(cluster.api), within=60, describe="the API server goes by the newest policy")


def lift(cluster: RealCluster) -> None:
    """Take them away, and wait until the API server goes by none of them."""
    for name in (*NAMES, "kintsugi-last"):
        for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
            try:
                cluster.api.delete(kind, name)
            except ApiError as error:
                if error.status != 404:
                    raise
    wait_for(lambda: not _denies(cluster.api), within=60, describe="the API server has forgotten the policies")


def warnings(cluster: RealCluster) -> list[Object]:
    """Return what the cluster finds wrong with the expressions."""
    found = [cluster.get("validatingadmissionpolicy", name)["status"].get("typeChecking") or {} for name in NAMES]
    return [warning for each in found for warning in each.get("expressionWarnings", [])]


def _is_checked(cluster: RealCluster, name: str) -> bool:
    policy = cluster.get("validatingadmissionpolicy", name)
    return bool(policy.get("status", {}).get("observedGeneration") == policy["metadata"]["generation"])


def _status(cluster: RealCluster) -> list[object]:
    return [cluster.get("validatingadmissionpolicy", name).get("status") for name in NAMES]


def _last() -> list[Object]:
    """Return a policy that denies whoever makes a certain ConfigMap."""
    group = {"apiVersion": "admissionregistration.k8s.io/v1"}
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}]
    spec = {
        "matchConstraints": {"resourceRules": rules},
        "matchConditions": [{"name": "this-one", "expression": "object.metadata.name == 'kintsugi-last'"}],
        "validations": [{"expression": "false", "message": "it is in force"}],
    }
    metadata = {"name": "kintsugi-last"}
    return [
        {**group, "kind": "ValidatingAdmissionPolicy", "metadata": metadata, "spec": spec},
        {
            **group,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": metadata,
            "spec": {"policyName": "kintsugi-last", "validationActions": ["Deny"]},
        },
    ]


def _denies(api: ApiClient) -> bool:
    path = api.resource("configmap").path("default")
    try:
        api.request("POST", f"{path}?dryRun=All", {"metadata": {"name": "kintsugi-last"}})
    except ApiError as error:
        if "it is in force" in str(error):
            return True
        raise
    return False
