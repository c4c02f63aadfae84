"""
The five services of the shipped rules on a real cluster: set up, broken one by one, and watched.

    shop = stack(cluster, namespace)
    shop.break_(Tier.DATABASE, Fault.CRASH_LOOP)
    …
    shop.until_up(*Tier, within=120)

A fault stays in force until what it broke is mended: no test lifts it.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.harness import network, stack_manifests
from tests.harness.api import Object
from tests.harness.certificates import Authority
from tests.harness.cluster import RealCluster
from tests.harness.faults import Faults
from tests.harness.stack_manifests import INGRESS
from tests.harness.tiers import PLACES, Fault, Tier
from tests.harness.waiting import wait_for

__all__ = ["Fault", "ServiceStack", "Tier", "stack"]

ORDERS = (
    "CREATE TABLE orders (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now());"
    "INSERT INTO orders SELECT FROM generate_series(1, 1000)"
)
KEYS = 1000
"""How many keys the cache holds from the start."""


@dataclass(kw_only=True)
class ServiceStack:
    """The services in one cluster; `tiers` are those that are there, upstreams first."""

    cluster: RealCluster
    namespace: str
    tiers: Sequence[Tier] = tuple(Tier)

    def set_up(self, *, within: float = 300) -> None:
        """Have every service up, upstreams first, with orders in the database and keys in the cache."""
        self.cluster.load_images(*dict.fromkeys(PLACES[each].image for each in self.tiers))
        self.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": INGRESS}})
        self.cluster.apply(*stack_manifests.services(self.namespace))
        for tier in self.tiers:
            self.cluster.apply(*self._manifests(tier))
        for tier, fill in ((Tier.DATABASE, self._fill_database), (Tier.CACHE, self.fill_cache)):
            if tier in self.tiers:
                self.until_up(tier, within=within)
                fill()
        self.until_up(*self.tiers, within=within)

    def break_(self, tier: Tier, fault: Fault, *, pods: int | None = None) -> Sequence[Object]:
        """Break a service, or, where the fault is one of pods, only so many of them; return the pods that were there."""
        victims = self.pods(tier)[:pods]
        if fault is Fault.DUMP_BROKEN:
            damage(self.folder(self.claim(tier)) / "dump.rdb")
        for pod in victims:
            self._break_pod(pod, fault, PLACES[tier].program)
        return victims

    def pods(self, tier: Tier) -> list[Object]:
        """Return the pods of a service that are not on their way out, by name."""
        found = self.cluster.list("pod", self.namespace_of(tier), selector=PLACES[tier].selector)
        alive = [each for each in found if not each["metadata"].get("deletionTimestamp")]
        return sorted(alive, key=lambda each: str(each["metadata"]["name"]))

    def workload(self, tier: Tier) -> Object:
        """Return the workload of a service."""
        return self.cluster.get(PLACES[tier].kind, PLACES[tier].workload, self.namespace_of(tier))

    def claim(self, tier: Tier) -> Object:
        """Return the claim of the volume of a service's first pod."""
        return self.cluster.get("pvc", PLACES[tier].claim, self.namespace_of(tier))

    def folder(self, claim: Object) -> Path:
        """Return where the volume of a claim lies on the node."""
        return Path(self.cluster.get("persistentvolume", claim["spec"]["volumeName"])["spec"]["hostPath"]["path"])

    def namespace_of(self, tier: Tier) -> str:
        """Return the namespace that a service is in."""
        return INGRESS if tier is Tier.INGRESS else self.namespace

    def ready(self, tier: Tier) -> int:
        """Return how many addresses the Kubernetes Service of a tier leads to."""
        label = f"kubernetes.io/service-name={PLACES[tier].front}"
        slices = self.cluster.list("endpointslice", self.namespace_of(tier), selector=label)
        return sum(bool(each["conditions"].get("ready")) for one in slices for each in one.get("endpoints") or [])

    def is_up(self, tier: Tier) -> bool:
        """Return whether all pods that a workload asks for are there, of its newest template, and ready behind its Service."""
        found = self.workload(tier)
        wanted, status = found["spec"]["replicas"], found["status"]
        counts = {status.get(each, 0) for each in ("replicas", "updatedReplicas", "readyReplicas")}
        seen = status.get("observedGeneration") == found["metadata"]["generation"]
        return bool(wanted > 0 and seen and counts == {wanted} and self.ready(tier) == wanted)

    def until_up(self, *tiers: Tier, within: float) -> None:
        """Wait until all of these services are up."""
        wait_for(lambda: all(map(self.is_up, tiers)), within=within, describe=self.state)

    def keys(self) -> int:
        """Count the keys in the cache."""
        return int(self.ask_cache("DBSIZE"))

    def ask_cache(self, *words: str) -> str:
        """Ask the cache's first pod with redis-cli, and return what it says."""
        return self._execute("cache-0", "redis-cli", *words)

    def state(self) -> str:
        """Return what an assertion should show: how each pod is."""
        return "\n".join(_told(each) for tier in self.tiers for each in self.pods(tier))

    def _break_pod(self, pod: Object, fault: Fault, program: str) -> None:
        faults = Faults(self.cluster)
        match fault:
            case Fault.CRASH_LOOP:
                faults.crash_loop(pod)
                faults.kill(pod, program)
            case Fault.STUCK:
                faults.hang(pod, program)
            case Fault.DUMP_BROKEN:
                faults.kill(pod, program)

    def _delete(self, pod: Object) -> None:
        self.cluster.api.delete("pod", pod["metadata"]["name"], pod["metadata"]["namespace"], grace=0)

    def _fill_database(self) -> None:
        """Have orders in it, and start it a second time: the log of the first start tells of an empty data folder."""
        self._ask_database("CREATE ROLE app LOGIN")
        self._ask_database("CREATE DATABASE app OWNER app")
        self._ask_database(ORDERS, "app", user="app")
        self._delete(self.pods(Tier.DATABASE)[0])

    def fill_cache(self, keys: int = KEYS) -> None:
        """Let the cache hold so many keys and no others, and write its dump."""
        self.ask_cache("FLUSHALL")
        self.ask_cache("EVAL", f"for n = 1, {keys} do redis.call('SET', 'key:' .. n, n) end", "0")
        self.ask_cache("SAVE")

    def _ask_database(self, statement: str, database: str = "postgres", *, user: str = "postgres") -> str:
        words = ("psql", "-XAtU", user, "-v", "ON_ERROR_STOP=1", "-d", database, "-c", statement)
        return self._execute("database-0", *words)

    def _execute(self, pod: str, *command: str) -> str:
        return self.cluster.kubectl("exec", "-n", self.namespace, pod, "--", *command).strip()

    def _manifests(self, tier: Tier) -> Sequence[Object]:
        match tier:
            case Tier.DATABASE:
                return stack_manifests.database(self.namespace)
            case Tier.CACHE:
                return stack_manifests.cache(self.namespace)
            case Tier.API:
                return stack_manifests.api(self.namespace)
            case Tier.WEB:
                return stack_manifests.web(self.namespace)
            case Tier.INGRESS:
                with tempfile.TemporaryDirectory(dir=network.run_folder()) as folder:
                    authority = Authority(Path(folder))
                    names = ("ingress-controller.ingress", stack_manifests.HOST)
                    return stack_manifests.ingress(self.namespace, authority.server("ingress-controller", *names))


def stack(cluster: RealCluster, namespace: str, tiers: Sequence[Tier] = tuple(Tier)) -> ServiceStack:
    """Have the services up in a namespace that is empty; what is there stays there."""
    made = ServiceStack(cluster=cluster, namespace=namespace, tiers=tiers)
    made.set_up()
    return made


def damage(file: Path) -> None:
    """Turn the bits of a byte in the middle of a file, as a disk does that forgets."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)


def _told(pod: Object) -> str:
    """Return how a pod is: its phase, whether it is ready, what its containers wait for or ended with."""
    status = pod["status"]
    states = [each["state"] for each in status.get("containerStatuses", [])]
    told = [str(each.get("reason", kind)) for state in states for kind, each in state.items()]
    ready = [each["status"] for each in status.get("conditions", []) if each["type"] == "Ready"]
    name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
    return f"{name} {status.get('phase')} ready={','.join(ready)} {' '.join(told)}"
