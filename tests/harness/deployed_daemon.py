"""The daemon as a cluster runs it: a Deployment of the product's image, with the rights of the documentation.

Its namespace enforces the pod security standard `restricted`, so that a pod which asked for more would not start.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.harness.cluster import Cluster, KubectlError
from tests.harness.daemon import OPERATOR, RIGHTS, TOKEN, Daemon
from tests.harness.waiting import wait_for

NAMESPACE = "kintsugi"
NAME = "kintsugi"
USER = f"system:serviceaccount:{NAMESPACE}:{NAME}"
UID = 65532

Object = dict[str, Any]

CONTAINER_SECURITY: Object = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
POD_SECURITY: Object = {"runAsNonRoot": True, "fsGroup": UID, "seccompProfile": {"type": "RuntimeDefault"}}


@dataclass(kw_only=True)
class DeployedDaemon(Daemon):
    """One replica, reached at its pod's address; its settings come from a ConfigMap, its ledger lies in an emptyDir."""

    cluster: Cluster
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

    def start(self, *, within: float = 90, **environment: str) -> "DeployedDaemon":
        """Apply everything and wait until the pod is ready: its caches are synced."""
        self.cluster.kubectl("apply", "-f", str(RIGHTS))
        self.cluster.api.patch("namespace", NAMESPACE, {"metadata": {"labels": _RESTRICTED}})
        self.cluster.apply(*self._objects())
        wait_for(self._ready, within=within, describe=self._state)
        [pod] = self.pods()
        self.url = f"http://{pod['status']['podIP']}:8080"
        return self

    def stop(self, *, within: float = 60) -> int:
        """Take the Deployment away and wait until its pod is gone. The rights stay: they are the cluster's."""
        for kind, name in (("deployment", NAME), ("configmap", NAME), ("secret", NAME)):
            self.cluster.kubectl("-n", NAMESPACE, "delete", kind, name, "--ignore-not-found")
        wait_for(lambda: not self.pods(), within=within, describe=self._state)
        return 0

    def pods(self) -> list[Object]:
        """Return its pods."""
        return self.cluster.list("pod", NAMESPACE, selector=f"app={NAME}")

    def execute(self, *command: str) -> str:
        """Run a command in its container and return what it printed. Raises KubectlError when it fails."""
        return self.cluster.kubectl("-n", NAMESPACE, "exec", f"deployment/{NAME}", "--", *command)

    def _ready(self) -> bool:
        status = self.cluster.get("deployment", NAME, NAMESPACE).get("status", {})
        return int(status.get("readyReplicas", 0)) == 1

    def _state(self) -> str:
        return f"{[each['status'] for each in self.pods()]}\n{self.tail()}"

    def _objects(self) -> tuple[Object, ...]:
        metadata = {"name": NAME, "namespace": NAMESPACE, "labels": {"app": NAME}}
        settings = {
            "mode": self.mode,
            "durations": self.durations,
            "alertmanager": {"token_files": ["/var/run/kintsugi/webhook"]},
            "server": {"operator_token_files": ["/var/run/kintsugi/operators"]},
            "telemetry": {"log_format": "json"},
        }
        tokens = {"webhook": TOKEN, "operators": f"tester:{OPERATOR}"}
        template = {"metadata": {"labels": {"app": NAME}}, "spec": self._pod()}
        return (
            {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": tokens},
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": metadata,
                "data": {"kintsugi.yaml": yaml.safe_dump(settings)},
            },
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": metadata,
                "spec": {
                    "replicas": 1,
                    "strategy": {"type": "Recreate"},
                    "selector": {"matchLabels": {"app": NAME}},
                    "template": template,
                },
            },
        )

    def _pod(self) -> Object:
        places = {
            "tmp": ("/tmp", {"emptyDir": {}}),
            "ledger": ("/var/lib/kintsugi", {"emptyDir": {}}),
            "settings": ("/etc/kintsugi", {"configMap": {"name": NAME}}),
            "tokens": ("/var/run/kintsugi", {"secret": {"secretName": NAME}}),
        }
        container = {
            "name": "kintsugi",
            "image": self.image,
            "imagePullPolicy": "Never",
            "env": [{"name": name, "value": value} for name, value in self.environment.items()],
            "ports": [{"containerPort": 8080}],
            "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 1},
            "livenessProbe": {
                "httpGet": {"path": "/healthz", "port": 8080},
                "initialDelaySeconds": 30,
                "timeoutSeconds": 5,
            },
            "securityContext": CONTAINER_SECURITY,
            "volumeMounts": [{"name": name, "mountPath": path} for name, (path, _) in places.items()],
        }
        return {
            "serviceAccountName": NAME,
            "securityContext": POD_SECURITY,
            "containers": [container],
            "volumes": [{"name": name, **source} for name, (_, source) in places.items()],
        }


_RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
