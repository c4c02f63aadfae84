"""
The stack of the shipped rules as Kubernetes objects: PostgreSQL, Redis, a back end, a front end, an ingress controller.

Each is called what `rules/*.yaml` call it. Who depends on another finds it by its Service and is not ready while no pod of
that is: so a failure of the database is seen at the back end, then at the front end, then at the ingress, in this order,
also where a process hangs: each level waits longer than its upstream takes to be seen not ready.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from tests.harness import manifests
from tests.harness.certificates import KeyPair
from tests.harness.daemon import RIGHTS
from tests.harness.images import REDIS, SHOP_GOOD, SKIPPER
from tests.harness.manifests import FAULTS

Object = dict[str, Any]
HOST = "shop.test"
PASSWORD = "postgres"
INGRESS = "ingress"
"""The namespace of the ingress controller; all else is in that of the shop."""

_CONTROLLER = {"app.kubernetes.io/name": "ingress-controller"}
_UID = {"name": "POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}
_READ = ["get", "list"]
_TIMEOUT = {"api": 4, "web": 6}
"""How many seconds an upstream may take to answer: three times this is more than it takes to be seen not ready."""


def services(namespace: str) -> Sequence[Object]:
    """Return the Services, which are there before any pod: a pod is told their addresses when it starts."""
    return (
        manifests.front(namespace, "database", {"app": "database"}, main=(5432, 5432)),
        manifests.front(namespace, "cache", {"app": "cache"}, main=(6379, 6379)),
        manifests.front(namespace, "api-service", {"app": "api"}, main=(80, 8080)),
        manifests.front(namespace, "web-app-service", {"app": "web-app"}, kind="LoadBalancer", main=(80, 8080)),
        controller_service(),
    )


def database(namespace: str) -> Sequence[Object]:
    """Return PostgreSQL: Secret, volume, claim, StatefulSet."""
    secret, volume, claim, _, workload = manifests.postgres(namespace, password=PASSWORD)
    workload["spec"]["serviceName"] = "database"
    [container] = workload["spec"]["template"]["spec"]["containers"]
    answers = ["pg_isready", "-h", "127.0.0.1", "-U", "postgres", "-t", "1"]
    container["readinessProbe"] = {"exec": {"command": answers}, **_asked(within=3)}
    return secret, volume, claim, _breakable(workload)


def cache(namespace: str) -> Sequence[Object]:
    """Return Redis, which keeps a dump on a volume of its own: volume, StatefulSet with a template of its claim."""
    claim = {"accessModes": ["ReadWriteOnce"], "storageClassName": "", "resources": {"requests": {"storage": "1Gi"}}}
    answers = ["sh", "-c", '[ "$(timeout 1 redis-cli PING)" = PONG ]']
    container = {
        **_container("redis", REDIS, 6379),
        "readinessProbe": {"exec": {"command": answers}, **_asked(within=3)},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    claims = [{"metadata": {"name": "data", "labels": {"app": "cache"}}, "spec": claim}]
    spec = {"replicas": 1, "serviceName": "cache", "volumeClaimTemplates": claims}
    workload = manifests.workload("StatefulSet", namespace, "cache", {"app": "cache"}, _pod(container), **spec)
    return manifests.volume(namespace, claim="data-cache-0", app="cache")[0], _breakable(workload)


def api(namespace: str) -> Sequence[Object]:
    """Return the back end."""
    environment = {
        "DATABASE_URL": f"postgresql://postgres:{PASSWORD}@$(DATABASE_SERVICE_HOST)/postgres",
        "CACHE_ADDRESS": "$(CACHE_SERVICE_HOST):6379",
    }
    return (_shop(namespace, "api", {"app": "api"}, environment, replicas=2),)


def web(namespace: str) -> Sequence[Object]:
    """Return the front end."""
    environment = {"API_URL": "http://$(API_SERVICE_SERVICE_HOST)/"}
    return (_shop(namespace, "web", {"app": "web-app"}, environment, replicas=3),)


def ingress(namespace: str, tls: KeyPair) -> Sequence[Object]:
    """Return the ingress controller with its rights, and the Ingress that leads to the front end."""
    *rights, workload = controller(tls)
    return (*rights, _mended_there(), _route(namespace), _breakable(workload))


def controller(
    tls: KeyPair, *, host: str = HOST, path: str = "/", replicas: int = 2, arguments: Sequence[str] = ()
) -> Sequence[Object]:
    """Return the ingress controller alone, which is ready while a path of a host is answered; its workload is the last."""
    metadata = {"name": "ingress-controller", "namespace": INGRESS}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
    content = {"tls.crt": tls.certificate.read_text(), "tls.key": tls.key.read_text()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "kubernetes.io/tls"}
    workload = _controller(host, path, replicas, arguments)
    return (account, {**secret, "stringData": content}, *_rights_of_controller(), workload)


def controller_service() -> Object:
    """Return the Service of the ingress controller."""
    return manifests.front(
        INGRESS, "ingress-controller", _CONTROLLER, kind="LoadBalancer", https=(443, 8443), http=(80, 8080)
    )


def _shop(
    namespace: str, role: str, labels: Mapping[str, str], environment: Mapping[str, str], *, replicas: int
) -> Object:
    container = _container(role, SHOP_GOOD, 8080)
    health = {"path": "/health", "port": 8080}
    container |= {
        "args": [role],
        "readinessProbe": {"httpGet": health, **_asked(within=_TIMEOUT[role] + 1)},
    }
    container["env"] += [
        {"name": name, "value": value} for name, value in {**environment, "PATIENCE": f"{_TIMEOUT[role]}s"}.items()
    ]
    name = f"{labels['app']}-deployment"
    return _breakable(manifests.workload("Deployment", namespace, name, labels, _pod(container), replicas=replicas))


def _controller(host: str, path: str, replicas: int, arguments: Sequence[str]) -> Object:
    """Return Skipper."""
    container = {
        **_container("skipper", SKIPPER, 8443),
        "args": [
            "-kubernetes",
            "-kubernetes-in-cluster",
            "-enable-kubernetes-endpointslices",
            "-address=:8443",
            "-insecure-address=:8080",
            "-tls-cert=/tls/tls.crt",
            "-tls-key=/tls/tls.key",
            "-source-poll-timeout=500",
            '-inline-routes=healthz: Path("/healthz") -> status(200) -> inlineContent("ok") -> <shunt>;',
            *arguments,
        ],
        "readinessProbe": {
            "httpGet": {"path": path, "port": 8080, "httpHeaders": [{"name": "Host", "value": host}]},
            **_asked(within=8),
        },
        "volumeMounts": [{"name": "tls", "mountPath": "/tls"}],
    }
    volumes = [{"name": "tls", "secret": {"secretName": "ingress-controller"}}]
    pod = {**_pod(container), "serviceAccountName": "ingress-controller", "volumes": volumes}
    return manifests.workload("Deployment", INGRESS, "ingress-controller", _CONTROLLER, pod, replicas=replicas)


def _rights_of_controller() -> Sequence[Object]:
    group = "rbac.authorization.k8s.io"
    metadata = {"name": "ingress-controller"}
    rules = [
        {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses"], "verbs": _READ},
        {"apiGroups": [""], "resources": ["services", "endpoints", "namespaces", "pods"], "verbs": _READ},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": _READ},
    ]
    return (
        {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", **metadata},
            "subjects": [{"kind": "ServiceAccount", "namespace": INGRESS, **metadata}],
        },
    )


def _mended_there() -> Object:
    """Return what docs/least-rights.yaml asks for in each further namespace."""
    [binding] = [
        each
        for each in yaml.safe_load_all(RIGHTS.read_text())
        if each["kind"] == "RoleBinding" and each["metadata"]["name"] == "kintsugi-changes"
    ]
    return {**binding, "metadata": {**binding["metadata"], "namespace": INGRESS}}


def _route(namespace: str) -> Object:
    backend = {"service": {"name": "web-app-service", "port": {"number": 80}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "shop", "namespace": namespace},
        "spec": {
            "rules": [{"host": HOST, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]
        },
    }


def _asked(*, within: int) -> Object:
    """Return how a probe asks: every second, and three answers that are bad or late make a pod not ready."""
    return {"periodSeconds": 1, "failureThreshold": 3, "timeoutSeconds": within}


def _container(name: str, image: str, port: int) -> Object:
    ports = [{"containerPort": port}]
    return {"name": name, "image": image, "imagePullPolicy": "Never", "env": [], "ports": ports, "volumeMounts": []}


def _pod(container: Object) -> Object:
    return {"containers": [container], "terminationGracePeriodSeconds": 2}


def _breakable(workload: Object) -> Object:
    """Let the start script of a workload's pods see the faults, by their uid."""
    pod = workload["spec"]["template"]["spec"]
    [container] = pod["containers"]
    container["env"].insert(0, _UID)
    container["volumeMounts"].append({"name": "faults", "mountPath": "/faults"})
    pod.setdefault("volumes", []).append({"name": "faults", "hostPath": {"path": FAULTS, "type": "DirectoryOrCreate"}})
    return workload
