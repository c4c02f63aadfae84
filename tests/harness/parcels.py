"""
The second application of docs/faults.md as Kubernetes objects: `parcels`, in a namespace of that name, as a stranger has it.

All of its pods run the program of tests/harness/parts/parcel. Its images come from the registry of the tests.
"""

from collections.abc import Mapping, Sequence
from secrets import token_hex
from typing import Any

from tests.harness import manifests
from tests.harness.certificates import KeyPair
from tests.harness.components import NODE
from tests.harness.images import PARCEL_GOOD
from tests.harness.manifests import FAULTS
from tests.harness.registry import login, served

Object = dict[str, Any]
PARCELS = "parcels"
IMAGE = served(PARCEL_GOOD)
PORT, TLS_PORT, METRICS_PORT, SCANNER_PORT = 8080, 8443, 9102, 9301
AWAY = 30
"""How many seconds a pod stays bound to a node that is lost, and how long depot takes to end."""

_UID = {"name": "POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}


def configuration(tls: KeyPair) -> Sequence[Object]:
    """Return the namespace, and the ConfigMaps, Secrets and the ServiceAccount that the workloads name."""
    token = token_hex(8)
    certificate = {"tls.crt": tls.certificate.read_text(), "tls.key": tls.key.read_text()}
    return (
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PARCELS}},
        _held("ConfigMap", "reception-routes", data={"routes": "/ consignments"}),
        _held("ConfigMap", "consignments-settings", data={"currency": "EUR"}),
        _held("ConfigMap", "pricing-settings", data={"pricelist": "small"}),
        tls_secret(certificate),
        token_secret("consignments-token", token),
        token_secret("depot-token", token),
        _held("Secret", "registry", type="kubernetes.io/dockerconfigjson", stringData={".dockerconfigjson": login()}),
        _held("ServiceAccount", "consignments"),
    )


def token_secret(name: str, token: str) -> Object:
    """Return a Secret with a token."""
    return _held("Secret", name, stringData={"token": token})


def tls_secret(certificate: Mapping[str, str]) -> Object:
    """Return the Secret with reception's certificate and key."""
    return _held("Secret", "reception-tls", type="kubernetes.io/tls", stringData=dict(certificate))


def volumes() -> Sequence[Object]:
    """Return the static volumes on the first node, each for one claim, and the claim of pricing."""
    claims = ("data-depot-0", "data-depot-1", "pricing-cache")
    return (*(_volume(each) for each in claims), _held("PersistentVolumeClaim", "pricing-cache", spec=_claim()))


def services() -> Sequence[Object]:
    """Return the Services, which are there before any pod."""
    to_http = {"name": "main", "port": 80, "targetPort": PORT}
    named = [{"name": each, "port": port, "targetPort": each} for each, port in (("http", 80), ("https", 443))]
    return (
        _service("reception", named),
        *(_service(each, [to_http]) for each in ("consignments", "depot", "pricing", "stamps")),
    )


def workloads() -> Sequence[Object]:
    """Return the workloads, upstreams first."""
    return (depot(), pricing(), consignments(), reception(), scanner(), stamps())


def depot() -> Object:
    """Return the StatefulSet that keeps what there is, which takes its time to end."""
    container = _container("store", "depot", environment={"END_AFTER": str(AWAY)})
    container["env"].append(_variable("TOKEN", "secretKeyRef", "depot-token", "token"))
    container["volumeMounts"].append({"name": "data", "mountPath": "/data"})
    container["readinessProbe"] = _probe("/ready")
    pod = {"containers": [container], "terminationGracePeriodSeconds": AWAY + 10}
    made = _workload("StatefulSet", "depot", pod)
    template = {"metadata": {"name": "data", "labels": {"app": "depot"}}, "spec": _claim()}
    made["spec"] |= {"serviceName": "depot", "volumeClaimTemplates": [template]}
    return made


def pricing() -> Object:
    """Return the Deployment that holds as much memory as its price list asks for."""
    container = _container("app", "pricing")
    container["resources"] = {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}}
    container["volumeMounts"] += [
        {"name": "settings", "mountPath": "/settings"},
        {"name": "cache", "mountPath": "/cache"},
    ]
    container |= {"livenessProbe": _probe("/live"), "readinessProbe": _probe("/ready")}
    held = [
        {"name": "settings", "configMap": {"name": "pricing-settings"}},
        {"name": "cache", "persistentVolumeClaim": {"claimName": "pricing-cache"}},
    ]
    return _workload("Deployment", "pricing", {"containers": [container], "volumes": held})


def consignments() -> Object:
    """Return the Deployment in the middle: an init container that waits for depot, the program, and a sidecar beside it."""
    app = _container("app", "consignments", environment={"DEPOT_URL": "http://depot", "START_AFTER": "5"})
    app["env"] += [
        _variable("CURRENCY", "configMapKeyRef", "consignments-settings", "currency"),
        _variable("TOKEN", "secretKeyRef", "consignments-token", "token"),
    ]
    app |= _all_probes()
    metrics = _container("metrics", "metrics", environment={"PORT": str(METRICS_PORT)})
    metrics["ports"] = [{"containerPort": METRICS_PORT, "name": "metrics", "protocol": "TCP"}]
    migrate = _container("migrate", "migrate", environment={"DEPOT_URL": "http://depot"})
    del migrate["ports"]
    pod = {
        "serviceAccountName": "consignments",
        "imagePullSecrets": [{"name": "registry"}],
        "initContainers": [migrate],
        "containers": [app, metrics],
    }
    return _workload("Deployment", "consignments", pod)


def reception() -> Object:
    """Return the Deployment that people speak to, by HTTP and HTTPS, with a sidecar that is an init container that goes on."""
    http = _container("http", "reception", environment={"CONSIGNMENTS_URL": "http://consignments"})
    http["ports"] = [
        {"containerPort": PORT, "name": "http", "protocol": "TCP"},
        {"containerPort": TLS_PORT, "name": "https", "protocol": "TCP"},
    ]
    http["volumeMounts"] += [{"name": "routes", "mountPath": "/routes"}, {"name": "tls", "mountPath": "/tls"}]
    http |= _all_probes()
    access_log = {**_container("access-log", "access-log"), "restartPolicy": "Always"}
    del access_log["ports"]
    pod = {
        "initContainers": [access_log],
        "containers": [http],
        "volumes": [
            {"name": "routes", "configMap": {"name": "reception-routes"}},
            {"name": "tls", "secret": {"secretName": "reception-tls"}},
        ],
    }
    return _workload("Deployment", "reception", pod)


def scanner() -> Object:
    """Return the DaemonSet, one pod a node, at the node's own port."""
    scan = _container(
        "scan", "scanner", environment={"CONSIGNMENTS_URL": "http://consignments", "PORT": str(SCANNER_PORT)}
    )
    scan["ports"] = [{"containerPort": SCANNER_PORT, "hostPort": SCANNER_PORT, "protocol": "TCP"}]
    scan["readinessProbe"] = _probe("/ready", SCANNER_PORT)
    prepare = _container("prepare", "prepare")
    del prepare["ports"]
    made = _workload("DaemonSet", "scanner", {"initContainers": [prepare], "containers": [scan]})
    del made["spec"]["replicas"]
    return made


def stamps() -> Object:
    """Return the Deployment that a Helm release has."""
    container = {**_container("app", "stamps"), "readinessProbe": _probe("/ready")}
    return _workload("Deployment", "stamps", {"containers": [container]})


def _workload(kind: str, name: str, pod: Object) -> Object:
    labels = {"app": name, "part-of": PARCELS}
    gone = [
        {"key": f"node.kubernetes.io/{each}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": AWAY}
        for each in ("not-ready", "unreachable")
    ]
    marks = {"name": "faults", "hostPath": {"path": FAULTS, "type": "DirectoryOrCreate"}}
    whole = {"terminationGracePeriodSeconds": 2, "tolerations": gone, **pod}
    whole["volumes"] = [*pod.get("volumes", []), marks]
    for container in (*pod.get("initContainers", []), *pod["containers"]):
        container["env"].append({"name": "WORKLOAD", "value": name})
    selector = {"matchLabels": {"app": name}}
    made = manifests.workload(kind, PARCELS, name, labels, whole, replicas=2, selector=selector)
    if kind == "Deployment":
        made["spec"]["progressDeadlineSeconds"] = 60
    return made


def _container(name: str, role: str, *, environment: Mapping[str, str] | None = None) -> Object:
    return {
        "name": name,
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "args": [role],
        "env": [_UID, *({"name": key, "value": value} for key, value in (environment or {}).items())],
        "ports": [{"containerPort": PORT, "protocol": "TCP"}],
        "volumeMounts": [{"name": "faults", "mountPath": "/faults"}],
    }


def _all_probes() -> Object:
    """Return the three probes: thirty seconds to start, then asked every two."""
    started = {**_probe("/ready"), "periodSeconds": 3, "failureThreshold": 10}
    return {"startupProbe": started, "livenessProbe": _probe("/live"), "readinessProbe": _probe("/ready")}


def _probe(path: str, port: int = PORT) -> Object:
    asked = {"periodSeconds": 2, "failureThreshold": 3, "timeoutSeconds": 3}
    return {"httpGet": {"path": path, "port": port}, **asked}


def _variable(name: str, source: str, holder: str, key: str) -> Object:
    return {"name": name, "valueFrom": {source: {"name": holder, "key": key}}}


def _service(name: str, ports: Sequence[Object]) -> Object:
    spec = {"selector": {"app": name}, "ports": [{**each, "protocol": "TCP"} for each in ports]}
    return _held("Service", name, spec=spec)


def _claim() -> Object:
    return {"accessModes": ["ReadWriteOnce"], "storageClassName": "", "resources": {"requests": {"storage": "1Gi"}}}


def _volume(claim: str) -> Object:
    here = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}]}
    made, _ = manifests.volume(PARCELS, claim=claim)
    made["spec"]["hostPath"]["type"] = "Directory"
    made["spec"]["nodeAffinity"] = {"required": {"nodeSelectorTerms": [here]}}
    return made


def _held(kind: str, name: str, **content: Any) -> Object:
    metadata = {"name": name, "namespace": PARCELS, "labels": {"part-of": PARCELS}}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **content}
