"""The Kubernetes that a test speaks to: the harness's own, or one that was named in KINTSUGI_TEST_KUBECONFIG."""

import hashlib
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.harness import components, network
from tests.harness.access import Access
from tests.harness.api import ApiClient, ApiError, Object
from tests.harness.audit import AuditFile, AuditLog
from tests.harness.load_balancer import LoadBalancers, address_of, is_routed
from tests.harness.machine import API_SERVER, GRACE, KUBELET, Machine
from tests.harness.parts import obstacle as missing_parts
from tests.harness.parts import parts
from tests.harness.second_node import SecondNode
from tests.harness.waiting import wait_for

KUBECONFIG = "KINTSUGI_TEST_KUBECONFIG"
PolicyRule = Mapping[str, Sequence[str]]
_NUMBERS = itertools.count(1)
_RUNS = ("deployment", "statefulset", "daemonset", "cronjob", "job", "replicaset", "pod", "service", "pvc")
_IN_BACKGROUND = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}


class NotOursError(Exception):
    """The cluster was lent to the tests: its components are not to be stopped, frozen or read."""


class KubectlError(Exception):
    """kubectl exited with an error; `code` is its exit code."""

    def __init__(self, arguments: Sequence[str], code: int, stderr: str) -> None:
        super().__init__(f"kubectl {' '.join(arguments)} exited {code}: {stderr.strip()}")
        self.code = code


def obstacle() -> str | None:
    """Return why no cluster can be had here, or None. Nothing is built here: there is no way out of the run's network."""
    if is_lent():
        return None if shutil.which("kubectl") else f"{KUBECONFIG} is set, but there is no kubectl on PATH"
    missing = [tool for tool in ("containerd", "runc", "ctr", "openssl", "busybox") if shutil.which(tool) is None]
    reason = missing_parts("kubernetes") or network.obstacle()
    if reason is None and missing:
        return f"not installed: {', '.join(missing)} (tests/harness/setup installs them)"
    if reason is None and network.run_folder() is None:
        return "not in a network of its own: run the tests through `python -m tests.harness.network -- COMMAND`"
    return reason


def is_lent() -> bool:
    """Return whether the tests were lent a cluster."""
    return bool(os.environ.get(KUBECONFIG))


class RealCluster:
    """A cluster as its administrator sees it, with what tests need to look at it and to break it."""

    def __init__(self, kubeconfig: Path, kubectl: Path, machine: Machine | None = None) -> None:
        """Use `start` or `existing` instead."""
        self.kubeconfig = kubeconfig
        self.access = Access.read(kubeconfig)
        self.api = ApiClient(self.access)
        self.kubectl_program = kubectl
        self._machine = machine
        self._scratch = Path(tempfile.mkdtemp(prefix="kubeconfigs-", dir=network.run_folder()))
        self._balancers: LoadBalancers | None = None
        self._timers: list[threading.Timer] = []
        self._audit: AuditFile | None = None

    @classmethod
    def start(cls) -> "RealCluster":
        """Start a cluster of our own and return it when its node is Ready. Raises PartsError or ClusterError."""
        binaries = parts()
        machine = Machine(binaries)
        machine.start()
        cluster = cls(machine.kubeconfig, binaries.binary("kubectl"), machine)
        balancer = machine.layout.login(components.LOAD_BALANCER, "system:masters")
        cluster._balancers = LoadBalancers(Access.read(balancer))
        cluster._balancers.start()
        return cluster

    @classmethod
    def existing(cls, kubeconfig: Path) -> "RealCluster":
        """Return a cluster that somebody lends us; nothing of it is stopped.

        Its owner has loaded the images of `python -m tests.harness.images` and gives addresses to LoadBalancers.
        """
        kubectl = shutil.which("kubectl")
        if kubectl is None:
            raise FileNotFoundError("kubectl is not on PATH")
        return cls(kubeconfig, Path(kubectl))

    def stop(self) -> None:
        """Stop our own cluster without a trace; leave a lent one as it is."""
        for timer in self._timers:
            timer.cancel()
            timer.join()
        if self._machine is not None:
            self._machine.stop()
        if self._balancers is not None:
            self._balancers.stop()
        shutil.rmtree(self._scratch, ignore_errors=True)

    @property
    def ours(self) -> bool:
        """Return whether the harness started this cluster, so that it may stop parts of it."""
        return self._machine is not None

    @property
    def server(self) -> str:
        """Return the API server's URL."""
        return self.access.server

    @property
    def machine(self) -> Machine:
        """Return the processes of our own cluster. Raises NotOursError for a lent one."""
        if self._machine is None:
            raise NotOursError(f"{KUBECONFIG} names this cluster: cases that touch its components do not run on it")
        return self._machine

    def audit(self) -> AuditLog:
        """Return the audit events until now."""
        if self._audit is None:
            self._audit = AuditFile(self.machine.layout.audit_log)
        return self._audit.read()

    def kubectl(self, *arguments: str, stdin: str | None = None, limit: float = 60) -> str:
        """Run the real kubectl as administrator and return what it printed. Raises KubectlError."""
        command = [str(self.kubectl_program), f"--kubeconfig={self.kubeconfig}", *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=limit, check=False)
        if done.returncode != 0:
            raise KubectlError(arguments, done.returncode, done.stderr)
        return done.stdout

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object:
        """Return one object. Raises ApiError with status 404 when it is not there."""
        return self.api.get(kind, name, namespace)

    def list(self, kind: str, namespace: str | None = None, *, selector: str = "") -> list[Object]:
        """Return the objects of a kind that a label selector takes."""
        return self.api.list(kind, namespace, selector=selector)

    def find(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """Return one object, or None when it is not there."""
        try:
            return self.api.get(kind, name, namespace)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Apply objects in their order; fields that others manage are taken over."""
        for each in objects:
            self.api.apply(each)

    @contextmanager
    def namespace(self, prefix: str = "test", *, labels: Mapping[str, str] | None = None) -> Iterator[str]:
        """Make a namespace whose default service account is ready; that what is in it goes is not waited for."""
        # The process id keeps runs apart on a lent cluster, where an earlier one's namespace may still be Terminating.
        name = f"{prefix}-{os.getpid()}-{next(_NUMBERS)}"
        self.api.create("namespace", {"metadata": {"name": name, "labels": dict(labels or {})}})
        wait_for(lambda: self.find("serviceaccount", "default", name), within=20, describe=f"{name} has its account")
        try:
            yield name
        finally:
            with suppress(ApiError, OSError):
                self._leave(name)

    def _leave(self, namespace: str) -> None:
        # A namespace's end costs the API server a hundred requests: with a cluster of our own it is enough that nothing runs.
        if self.ours:
            for kind in _RUNS:
                self.api.request("DELETE", self.api.resource(kind).path(namespace), _IN_BACKGROUND)
        else:
            self.api.delete("namespace", namespace)

    def kubeconfig_for(
        self,
        service_account: str,
        rules: Sequence[PolicyRule] = (),
        *,
        namespace: str,
        in_namespaces: Sequence[str] | None = None,
        everywhere: bool = False,
    ) -> Path:
        """Write the kubeconfig of a service account that may do what `rules` say, and nothing else.

        The rules hold in the account's own namespace, in `in_namespaces` instead, or `everywhere`. Another call for
        the same account adds rights. `rules` are RBAC rules: apiGroups, resources, verbs, resourceNames.
        """
        account = {"apiVersion": "v1", "kind": "ServiceAccount"}
        self.apply({**account, "metadata": {"name": service_account, "namespace": namespace}})
        if rules:
            subject = {"kind": "ServiceAccount", "name": service_account, "namespace": namespace}
            targets = [None] if everywhere else list(in_namespaces or [namespace])
            self.apply(*_rights(subject, rules, targets))
        path = self.api.resource("serviceaccount").path(namespace, service_account, "token")
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": 86400},
        }
        token = self.api.request("POST", path, request)["status"]["token"]
        access = Access(server=self.server, authority=self.access.authority, token=token)
        return access.write(self._scratch / f"{namespace}-{service_account}.kubeconfig", namespace=namespace)

    def load_balancer_address(self, service: str, namespace: str, *, within: float = 15) -> str:
        """Return the address of a LoadBalancer Service, waiting until it has one and traffic to it is routed."""

        def routed() -> str | None:
            found = self.get("service", service, namespace)
            address = address_of(found)
            return address if address and is_routed(address, found["spec"]["ports"][0]["port"]) else None

        return wait_for(routed, within=within, describe=f"service/{service} in {namespace} has a routed address")

    def load_images(self, *names: str) -> None:
        """Make images of tests/harness/images.py known to the node. On a lent cluster its owner does that."""
        if self._machine is not None:
            self._machine.load(names)

    def load_archive(self, archive: Path) -> None:
        """Make the image in a docker-archive known to the node."""
        self.machine.load_archive(archive)

    def freeze(self, name: str) -> None:
        """Let a component hang: its connections stay open and it answers nothing, until `thaw`."""
        self.machine.program(name).freeze()

    def thaw(self, name: str) -> None:
        """Let a frozen component go on."""
        self.machine.program(name).thaw()

    @contextmanager
    def node_silent(self, *, given_up_after: int = 4) -> Iterator[None]:
        """Have the node's kubelet dead, its pods alive, and the node given up (Unknown) after so many seconds; then it is Ready again."""
        self.machine.program(KUBELET).stop()
        self.machine.give_up_nodes_after(given_up_after)
        try:
            yield
        finally:
            # A node that reports less often than it is given up flaps.
            self.machine.give_up_nodes_after(GRACE)
            self.machine.start_component(KUBELET)
            wait_for(self._takes_pods, within=60, describe=lambda: self.list("node"))

    def _takes_pods(self) -> bool:
        """Return whether each node is Ready, and its taint of the time when it was not is gone."""
        nodes = self.list("node")
        ready = [
            each["status"] == "True"
            for node in nodes
            for each in node["status"]["conditions"]
            if each["type"] == "Ready"
        ]
        return all(ready) and not any(node["spec"].get("taints") for node in nodes)

    @contextmanager
    def second_node(self, *, given_up_after: int = 30) -> Iterator[SecondNode]:
        """Have a second node, and nodes given up (Unknown) after so many silent seconds: three times a kubelet's pause between two reports."""
        machine = self.machine
        node = SecondNode(machine.layout, machine.parts, self.api)
        try:
            node.start()
            machine.give_up_nodes_after(given_up_after)
            yield node
        finally:
            machine.give_up_nodes_after(GRACE)
            node.remove()

    def lose_watch_history(self) -> None:
        """Make every watch from an earlier version answer 410 Gone: compact etcd, and restart the API server, which has a window of its own."""
        self.machine.compact()
        self.machine.program(API_SERVER).stop()
        self.machine.start_component(API_SERVER)


def _rights(
    subject: Mapping[str, str], rules: Sequence[PolicyRule], namespaces: Sequence[str | None]
) -> Iterator[Mapping[str, Any]]:
    """Yield a role and its binding for each namespace; None stands for the whole cluster."""
    digest = hashlib.sha256(json.dumps([dict(rule) for rule in rules], sort_keys=True).encode()).hexdigest()[:8]
    for namespace in namespaces:
        prefix = "Cluster" if namespace is None else ""
        name = (
            f"{subject['namespace']}-{subject['name']}-{digest}" if namespace is None else f"{subject['name']}-{digest}"
        )
        metadata = {"name": name} if namespace is None else {"name": name, "namespace": namespace}
        group = "rbac.authorization.k8s.io"
        role = {"apiVersion": f"{group}/v1", "kind": f"{prefix}Role", "metadata": metadata}
        yield {**role, "rules": [dict(rule) for rule in rules]}
        reference = {"apiGroup": group, "kind": f"{prefix}Role", "name": name}
        binding = {"apiVersion": f"{group}/v1", "kind": f"{prefix}RoleBinding", "metadata": metadata}
        yield {**binding, "roleRef": reference, "subjects": [dict(subject)]}
