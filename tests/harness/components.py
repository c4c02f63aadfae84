"""What each part of the single-node cluster is started with: arguments and configuration files, nothing else."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.harness.access import Access
from tests.harness.certificates import Authority, KeyPair
from tests.harness.network import NODE_ADDRESS

SERVER = f"https://{NODE_ADDRESS}:6443"
ETCD = "http://127.0.0.1:2379"
NODE = "node-1"
SERVICE_RANGE, SERVICE_ADDRESS = "10.96.0.0/16", "10.96.0.1"
POD_RANGE = "10.244.0.0/24"
PAUSE = "harness/pause:1"
METRICS_SERVICE_NAME = "metrics-server.kube-system.svc"
ADMIN, LOAD_BALANCER, METRICS_SERVER = "harness:admin", "harness:load-balancer", "harness:metrics-server"
# As whom the API server speaks to the servers of further APIs, and in which headers it says for whom it asks.
FRONT_PROXY = "front-proxy"

_READS = ["get", "list", "watch"]
_WRITES = ["create", "update", "patch", "delete", "deletecollection"]
_CONTROL_PLANE = ["system:apiserver", "system:kube-scheduler", "system:kube-controller-manager", "system:kube-proxy"]
# The witness of who did what: writes with their bodies, reads without; what the cluster does for itself is left out.
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "omitManagedFields": True,
    "rules": [
        {"level": "None", "users": [LOAD_BALANCER, METRICS_SERVER]},
        {"level": "None", "users": [ADMIN, *_CONTROL_PLANE], "verbs": _READS},
        {"level": "None", "userGroups": ["system:nodes", "system:serviceaccounts:kube-system"], "verbs": _READS},
        {"level": "None", "userGroups": ["system:nodes"], "resources": [{"group": "coordination.k8s.io"}]},
        {"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*"]},
        {"level": "RequestResponse", "verbs": _WRITES},
        {"level": "Metadata"},
    ],
}


@dataclass(frozen=True, kw_only=True, slots=True)
class NodePlace:
    """What tells a node from another one in the same network: its name and address, its pods' range and bridge, its ports."""

    name: str = NODE
    address: str = NODE_ADDRESS
    pods: str = POD_RANGE
    bridge: str = "cni0"
    port: int = 10250
    health_port: int = 10248


SECOND = NodePlace(
    name="node-2", address="10.88.0.2", pods="10.244.1.0/24", bridge="cni1", port=10260, health_port=10258
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Where everything of one cluster lies, and which certificates it has; of a further node, where that one's lies."""

    folder: Path
    authority: Authority
    cgroup: str
    place: NodePlace = NodePlace()

    @property
    def audit_log(self) -> Path:
        """Return the API server's audit log, one JSON document a line."""
        return self.folder / "audit.jsonl"

    @property
    def containerd(self) -> Path:
        """Return containerd's socket."""
        return self.folder / "containerd.sock"

    def file(self, name: str, text: str) -> Path:
        """Write a configuration file and return its path."""
        path = self.folder / name
        path.write_text(text)
        return path

    def login(self, user: str, *groups: str) -> Path:
        """Write the kubeconfig of a user who has a client certificate, and return its path."""
        access = Access.by_certificate(SERVER, self.authority.own.certificate, self.authority.user(user, *groups))
        return access.write(self.folder / f"{user.replace(':', '-')}.kubeconfig")


def etcd(layout: Layout) -> list[str]:
    """Return etcd's arguments; it does not sync its files, since its own durability is not what is tested."""
    return [
        f"--data-dir={layout.folder / 'etcd'}",
        f"--listen-client-urls={ETCD}",
        f"--advertise-client-urls={ETCD}",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def api_server(layout: Layout) -> list[str]:
    """Return the API server's arguments."""
    names = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
    serving = layout.authority.server("kube-apiserver", *names, "127.0.0.1", NODE_ADDRESS, SERVICE_ADDRESS)
    to_kubelet = layout.authority.user("kube-apiserver-kubelet-client", "system:masters")
    authority = layout.authority.own.certificate
    return [
        f"--etcd-servers={ETCD}",
        "--secure-port=6443",
        f"--advertise-address={NODE_ADDRESS}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        *_tls(serving),
        f"--client-ca-file={authority}",
        f"--kubelet-client-certificate={to_kubelet.certificate}",
        f"--kubelet-client-key={to_kubelet.key}",
        f"--kubelet-certificate-authority={authority}",
        "--kubelet-preferred-address-types=InternalIP",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={layout.authority.token_public_key}",
        f"--service-account-signing-key-file={layout.authority.token_key}",
        # The reconciler refuses to publish what it takes for a loopback machine; we write the slice ourselves.
        "--endpoint-reconciler-type=none",
        "--allow-privileged",
        f"--audit-log-path={layout.audit_log}",
        f"--audit-policy-file={layout.file('audit-policy.json', json.dumps(AUDIT_POLICY))}",
        "--profiling=false",
        *_aggregation(layout.authority),
    ]


def _aggregation(authority: Authority) -> list[str]:
    """Return what lets the API server hand requests on to the servers of further APIs, as metrics-server is one."""
    own = authority.user(FRONT_PROXY)
    return [
        f"--proxy-client-cert-file={own.certificate}",
        f"--proxy-client-key-file={own.key}",
        f"--requestheader-client-ca-file={authority.own.certificate}",
        f"--requestheader-allowed-names={FRONT_PROXY}",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
    ]


def metrics_server(layout: Layout, *, port: int, seconds: int) -> list[str]:
    """Return metrics-server's arguments; it asks the kubelet every so many `seconds`, of which ten are the least."""
    serving = layout.authority.server("metrics-server", METRICS_SERVICE_NAME, NODE_ADDRESS)
    login = layout.login(METRICS_SERVER, "system:masters")
    return [
        f"--kubeconfig={login}",
        f"--authentication-kubeconfig={login}",
        f"--authorization-kubeconfig={login}",
        f"--secure-port={port}",
        *_tls(serving),
        f"--kubelet-certificate-authority={layout.authority.own.certificate}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--metric-resolution={seconds}s",
        # A round must be over before the next begins.
        f"--kubelet-request-timeout={seconds // 2}s",
    ]


def controller_manager(layout: Layout, *, node_monitor_grace_period: int) -> list[str]:
    """Return the controller manager's arguments; a node that is silent for the grace period (seconds) is NotReady."""
    return [
        f"--kubeconfig={layout.login('system:kube-controller-manager')}",
        f"--service-account-private-key-file={layout.authority.token_key}",
        f"--root-ca-file={layout.authority.own.certificate}",
        # Each controller writes under its own name, so that the audit log tells them apart.
        "--use-service-account-credentials",
        "--leader-elect=false",
        "--kube-api-qps=300",
        "--kube-api-burst=600",
        "--node-monitor-period=1s",
        f"--node-monitor-grace-period={node_monitor_grace_period}s",
        "--pvclaimbinder-sync-period=500ms",
        "--horizontal-pod-autoscaler-sync-period=5s",
    ]


def scheduler(layout: Layout) -> list[str]:
    """Return the scheduler's arguments."""
    return [
        f"--kubeconfig={layout.login('system:kube-scheduler')}",
        "--leader-elect=false",
        # A pod that was looked at before its volume was known to the scheduler is otherwise forgotten for five minutes.
        "--pod-max-in-unschedulable-pods-duration=5s",
    ]


def proxy(layout: Layout) -> list[str]:
    """Return kube-proxy's arguments."""
    return [
        f"--kubeconfig={layout.login('system:kube-proxy')}",
        f"--hostname-override={NODE}",
        f"--cluster-cidr={POD_RANGE}",
        "--proxy-mode=iptables",
        "--conntrack-max-per-core=0",
        "--iptables-min-sync-period=100ms",
    ]


def kubelet(layout: Layout) -> list[str]:
    """Return the kubelet's arguments; it renews the node's lease every ten seconds."""
    place = layout.place
    serving = layout.authority.server(f"kubelet-{place.name}", place.name, place.address)
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(layout.authority.own.certificate)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(serving.certificate),
        "tlsPrivateKeyFile": str(serving.key),
        "containerRuntimeEndpoint": f"unix://{layout.containerd}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{layout.cgroup}",
        "failSwapOn": False,
        "failCgroupV1": False,
        "resolvConf": "",
        # CoreDNS answers there in the tests that want names.
        "clusterDNS": [NODE_ADDRESS],
        "clusterDomain": "cluster.local",
        "podLogsDir": str(layout.folder / "pod-logs"),
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "eventRecordQPS": 0,
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        "maxPods": 250,
        "nodeLeaseDurationSeconds": 40,
        "port": place.port,
        "healthzPort": place.health_port,
        "syncFrequency": "5s",
        # The first back-off of a crash loop is one second instead of ten, the longest one minute instead of five.
        "featureGates": {"ReduceDefaultCrashLoopBackOffDecay": True},
    }
    return [
        f"--config={layout.file('kubelet.json', json.dumps(config))}",
        f"--kubeconfig={layout.login(f'system:node:{place.name}', 'system:nodes')}",
        f"--root-dir={layout.folder / 'kubelet'}",
        f"--hostname-override={place.name}",
        f"--node-ip={place.address}",
    ]


def containerd(layout: Layout) -> list[str]:
    """Return containerd's arguments; pods get their addresses from the bridge plugin."""
    network = layout.folder / "cni"
    network.mkdir(exist_ok=True)
    (network / "10-bridge.conflist").write_text(json.dumps(_network(layout.folder / "cni-leases", layout.place)))
    runtime = layout.folder / "containerd"
    text = f"""\
version = 2
root = "{runtime}/root"
state = "{runtime}/state"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "{layout.containerd}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{runtime}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{network}"
"""
    return [f"--config={layout.file('containerd.toml', text)}", "--log-level=warn"]


def _network(leases: Path, place: NodePlace) -> Mapping[str, object]:
    addresses = {"type": "host-local", "ranges": [[{"subnet": place.pods}]], "routes": [{"dst": "0.0.0.0/0"}]}
    bridge = {"type": "bridge", "bridge": place.bridge, "isGateway": True, "ipMasq": False, "hairpinMode": True}
    plugins: Sequence[Mapping[str, object]] = (
        {**bridge, "ipam": {**addresses, "dataDir": str(leases)}},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    )
    return {"cniVersion": "0.4.0", "name": "harness", "plugins": plugins}


def _tls(pair: KeyPair) -> tuple[str, str]:
    return f"--tls-cert-file={pair.certificate}", f"--tls-private-key-file={pair.key}"
