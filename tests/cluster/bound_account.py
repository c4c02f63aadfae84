"""Kintsugi's own service account on a cluster, with the rights of the documentation and in the namespaces that it is bound in."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from tests.harness.cluster import RealCluster
from tests.harness.daemon import RIGHTS

ACCOUNT = NAMESPACE = "kintsugi"
USER = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"


def login(cluster: RealCluster, **namespaces: Sequence[str]) -> Path:
    """
    Apply docs/least-rights.yaml, bind its roles as it says, and write the account's kubeconfig.

    `namespaces` are those where a role is bound besides `production`, by what stands behind `kintsugi-` in its name.
    """
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "production"}})
    cluster.kubectl("apply", "-f", str(RIGHTS))
    every = [each for each in yaml.safe_load_all(RIGHTS.read_text()) if each["kind"] == "RoleBinding"]
    bindings = {each["metadata"]["name"].removeprefix("kintsugi-"): each for each in every}
    for role, wanted in namespaces.items():
        for namespace in wanted:
            metadata = {**bindings[role]["metadata"], "namespace": namespace}
            cluster.apply({**bindings[role], "metadata": metadata})
    return cluster.kubeconfig_for(ACCOUNT, namespace=NAMESPACE)
