"""The daemon as a cluster runs it: the manifests of the documentation, with the product's image in them.

Its namespace enforces the pod security standard `restricted`, so that a pod which asked for more would not start.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.harness.cluster import KubectlError, RealCluster
from tests.harness.daemon import OPERATOR, RIGHTS, SOON_GOOD, TOKEN, DaemonProcess
from tests.harness.waiting import wait_for

NAMESPACE = "kintsugi"
NAME = "kintsugi"
USER = f"system:serviceaccount:{NAMESPACE}:{NAME}"
UID = 65532
DEPLOYMENT = RIGHTS.with_name("deployment.yaml")

Object = dict[str, Any]


@dataclass(kw_only=True)
class DeployedDaemon(DaemonProcess):
    """One replica, reached at its pod's address; its ledger lies in an emptyDir, and `environment` sets what is not in the file."""

    cluster: RealCluster
    image: str

    @property
    def log(self) -> Path:
        """Return a file with the lines of the pod's log until now."""
        file = self.folder / "daemon.log"
        try:
            file.write_text(self.cluster.kubectl("-n", NAMESPACE, "logs", f"deployment/{NAME}", "--tail=-1"))
        except KubectlError as error:
            file.write_text(str(error))
        return file

    def start(self, environment: Mapping[str, str] | None = None, *, within: float = 120) -> "DeployedDaemon":
        """Apply everything and wait until the pod is ready: its caches are synced."""
        self.cluster.kubectl("apply", "-f", str(RIGHTS))
        self.cluster.apply(*self._objects())
        wait_for(self._ready, within=within, describe=self._state)
        [pod] = self.pods()
        self.url, self.health_url = (f"http://{pod['status']['podIP']}:{port}" for port in (8080, 8081))
        return self

    def stop(self, *, within: float = 60) -> int:
        """Take the Deployment away and wait until its pod is gone. The rights stay: they are the cluster's."""
        made = [f"{each['kind']}/{each['metadata']['name']}" for each in self._objects()]
        self.cluster.kubectl("-n", NAMESPACE, "delete", "--ignore-not-found", *made)
        wait_for(lambda: not self.pods(), within=within, describe=self._state)
        return 0

    def pods(self) -> list[Object]:
        """Return its pods."""
        return self.cluster.list("pod", NAMESPACE, selector=f"app.kubernetes.io/name={NAME}")

    def execute(self, *command: str) -> str:
        """Run a command in its container and return what it printed. Raises KubectlError when it fails."""
        return self.cluster.kubectl("-n", NAMESPACE, "exec", f"deployment/{NAME}", "--", *command)

    def _ready(self) -> bool:
        status = self.cluster.get("deployment", NAME, NAMESPACE).get("status", {})
        return int(status.get("readyReplicas", 0)) == 1

    def _state(self) -> str:
        return f"{[each['status'] for each in self.pods()]}\n{self.tail()}"

    def _objects(self) -> list[Object]:
        """Return what the documentation shows, with tokens, and with the settings of this test."""
        documents = yaml.safe_load_all(DEPLOYMENT.read_text())
        # No storage class is there to serve the claim.
        shown = {each["kind"]: each for each in documents if each["kind"] != "PersistentVolumeClaim"}
        settings = yaml.safe_load(shown["ConfigMap"]["data"]["kintsugi.yaml"])
        settings |= {"mode": self.mode, "durations": self.durations, "deadlines": self.deadlines}
        shown["ConfigMap"]["data"]["kintsugi.yaml"] = yaml.safe_dump(settings)
        self._adapt(shown["Deployment"]["spec"]["template"]["spec"])
        tokens = {"webhook": TOKEN, "operators": f"tester:{OPERATOR}"}
        return [*(_secret(kind, token) for kind, token in tokens.items()), *shown.values()]

    def _adapt(self, pod: Object) -> None:
        [container] = pod["containers"]
        container |= {"image": self.image, "imagePullPolicy": "Never"}
        container["readinessProbe"]["periodSeconds"] = 1
        environment = {"KINTSUGI_IMAGE": self.image, **SOON_GOOD, **self.environment}
        container["env"] = [{"name": name, "value": value} for name, value in environment.items()]
        [ledger] = [each for each in pod["volumes"] if each["name"] == "ledger"]
        del ledger["persistentVolumeClaim"]
        ledger["emptyDir"] = {}


def _secret(kind: str, token: str) -> Object:
    """Return the Secret that the documentation makes of one file of tokens."""
    metadata = {"name": f"{NAME}-{kind}", "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {kind: token}}


def security() -> tuple[Object, Object]:
    """Return the documentation's security contexts of the pod and of its container."""
    [pod] = [
        each["spec"]["template"]["spec"]
        for each in yaml.safe_load_all(DEPLOYMENT.read_text())
        if each["kind"] == "Deployment"
    ]
    return pod["securityContext"], pod["containers"][0]["securityContext"]
