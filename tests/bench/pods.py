"""
Pods of many services as an API server writes them: 6.3 kB each with managedFields, encoded before the load begins.

A watch event of a pod differs from the one before in its resourceVersion and in the moment of its last transition, which
is kept and may decide something: nothing about it can be skipped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson

from tests.bench.catalogs import Written

_VERSION, _MOMENT = "VERSION-OF-THE-POD", "2001-01-01T01:01:01Z"
_START = datetime(2026, 1, 1, tzinfo=UTC)
_MOMENTS = [(_START + timedelta(seconds=each)).strftime("%Y-%m-%dT%H:%M:%SZ").encode() for each in range(3600)]

Json = dict[str, object]


@dataclass(frozen=True, kw_only=True)
class EncodedPod:
    """One pod, cut where each event differs."""

    parts: tuple[bytes, bytes, bytes]

    def at(self, version: int) -> bytes:
        """Return the pod's JSON at a resourceVersion."""
        head, middle, tail = self.parts
        return b"".join((head, b"%d" % version, middle, _MOMENTS[version % len(_MOMENTS)], tail))

    def event(self, version: int) -> bytes:
        """Return a MODIFIED event of the watch, as one chunk of an answer over HTTP."""
        line = b'{"type":"MODIFIED","object":' + self.at(version) + b"}\n"
        return b"%x\r\n%b\r\n" % (len(line), line)


def pods(services: Sequence[Written], count: int) -> tuple[EncodedPod, ...]:
    """Encode so many ready pods, dealt out to the services in turn."""
    return tuple(_encoded(services[each % len(services)], each) for each in range(count))


def deployment(service: Written, replicas: int) -> Json:
    """Return the Deployment of a service, all its replicas available."""
    labels = {"app": service.name}
    return {
        "metadata": {**_identity(service.name, service, "d"), "generation": 1, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}},
        },
        "status": {
            "observedGeneration": 1,
            "replicas": replicas,
            "updatedReplicas": replicas,
            "readyReplicas": replicas,
            "availableReplicas": replicas,
            "unavailableReplicas": 0,
        },
    }


def _encoded(service: Written, number: int) -> EncodedPod:
    body = orjson.dumps(_pod(service, number))
    head, _, rest = body.partition(_VERSION.encode())
    middle, _, tail = rest.partition(_MOMENT.encode())
    return EncodedPod(parts=(head, middle, tail))


def _pod(service: Written, number: int) -> Json:
    identity = _identity(f"{service.name}-7d4b9c6f5d-{number:05d}", service, "a")
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "controller": True, "blockOwnerDeletion": True}
    return {
        "metadata": {
            **identity,
            "generateName": f"{service.name}-7d4b9c6f5d-",
            "resourceVersion": _VERSION,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"app": service.name, "pod-template-hash": "7d4b9c6f5d", "tier": "front"},
            "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"},
            "ownerReferences": [{**owner, "name": f"{service.name}-7d4b9c6f5d", "uid": f"r-{service.name}"}],
            "managedFields": _managed_fields(),
        },
        "spec": _spec(number),
        "status": _status(number),
    }


def _identity(name: str, service: Written, mark: str) -> Json:
    return {"name": name, "namespace": service.namespace, "uid": f"{mark}-{name}", "resourceVersion": "1"}


def _spec(number: int) -> Json:
    account = {"mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "name": "kube-api", "readOnly": True}
    probe = {"httpGet": {"path": "/health", "port": 8080, "scheme": "HTTP"}, "periodSeconds": 10, "failureThreshold": 3}
    container = {
        "image": "registry.example.com/shop/web:1.42.0",
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": f"SETTING_{each}", "value": f"value of the setting {each}"} for each in range(8)],
        "ports": [{"containerPort": 8080, "name": "http", "protocol": "TCP"}],
        "livenessProbe": probe,
        "readinessProbe": probe,
        "resources": {"limits": {"memory": "512Mi"}, "requests": {"cpu": "250m", "memory": "256Mi"}},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "volumeMounts": [account, {"mountPath": "/etc/web", "name": "settings"}],
    }
    tolerations = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
    return {
        "containers": [{"name": "web", **container}, {"name": "proxy", **container}],
        "dnsPolicy": "ClusterFirst",
        "nodeName": f"node-{number % 200}",
        "priority": 0,
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
        "serviceAccountName": "web",
        "terminationGracePeriodSeconds": 30,
        "tolerations": [
            {"effect": "NoExecute", "key": key, "operator": "Exists", "tolerationSeconds": 300} for key in tolerations
        ],
        "volumes": [
            {"name": "settings", "configMap": {"name": "web-settings", "defaultMode": 420}},
            {
                "name": "kube-api",
                "projected": {"defaultMode": 420, "sources": [{"serviceAccountToken": {"path": "t"}}]},
            },
        ],
    }


def _status(number: int) -> Json:
    began = "2026-01-01T00:00:05Z"
    kinds = ("PodReadyToStartContainers", "Initialized", "ContainersReady", "PodScheduled")
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": began, "lastProbeTime": None} for kind in kinds
    ]
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": _MOMENT, "lastProbeTime": None}
    address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
    return {
        "phase": "Running",
        "qosClass": "Burstable",
        "hostIP": f"192.168.0.{number % 200}",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": "2026-01-01T00:00:00Z",
        "conditions": [ready, *conditions],
        "containerStatuses": [
            {
                "name": name,
                "image": "registry.example.com/shop/web:1.42.0",
                "imageID": "registry.example.com/shop/web@sha256:" + "5" * 64,
                "containerID": f"containerd://{number:064x}",
                "ready": True,
                "started": True,
                "restartCount": 0,
                "state": {"running": {"startedAt": began}},
                "lastState": {},
            }
            for name in ("web", "proxy")
        ],
    }


def _managed_fields() -> list[Json]:
    container: Json = {f"f:{name}": {} for name in ("image", "imagePullPolicy", "name", "resources", "ports", "env")}
    conditions: Json = {
        f'k:{{"type":"{kind}"}}': {
            ".": {},
            "f:lastProbeTime": {},
            "f:lastTransitionTime": {},
            "f:status": {},
            "f:type": {},
        }
        for kind in ("ContainersReady", "Initialized", "PodReadyToStartContainers", "Ready")
    }
    made = {
        "f:metadata": {
            "f:generateName": {},
            "f:labels": {".": {}, "f:app": {}, "f:tier": {}, "f:pod-template-hash": {}},
        },
        "f:spec": {
            "f:containers": {f'k:{{"name":"{name}"}}': container for name in ("web", "proxy")},
            "f:dnsPolicy": {},
            "f:restartPolicy": {},
            "f:schedulerName": {},
            "f:terminationGracePeriodSeconds": {},
        },
    }
    told = {
        "f:status": {
            "f:conditions": conditions,
            "f:containerStatuses": {},
            "f:hostIP": {},
            "f:phase": {},
            "f:podIP": {},
        }
    }
    return [
        {
            "manager": manager,
            "operation": "Update",
            "apiVersion": "v1",
            "time": "2026-01-01T00:00:00Z",
            "fieldsType": "FieldsV1",
            "fieldsV1": fields,
        }
        for manager, fields in (("kube-controller-manager", made), ("kubelet", told))
    ]
