"""The services of the stack: where each is in the cluster, what it runs from, and the ways to break it."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum

from tests.harness.images import POSTGRES, REDIS, SHOP_GOOD, SKIPPER
from tests.harness.parts import obstacle as missing_parts


class Tier(StrEnum):
    """The services, by the names of their documents, upstreams first."""

    DATABASE = "database"
    CACHE = "cache-service"
    API = "api-service"
    WEB = "web-service"
    INGRESS = "ingress-controller"


class Fault(Enum):
    """How a service is broken, and what mends it."""

    CRASH_LOOP = "a pod's process is killed, and ends at each start: mended by deleting the pod"
    STUCK = "a pod's process hangs: mended by deleting the pod"
    DUMP_BROKEN = (
        "a bit of the cache's dump turns, and its process is killed: no start reads it, and no restart mends it"
    )


@dataclass(frozen=True, slots=True)
class TierPlace:
    """Where a tier is: its workload, its pods, the program in them, the Service in front of them."""

    kind: str
    workload: str
    selector: str
    program: str
    image: str
    front: str
    claim: str = ""


PLACES: Mapping[Tier, TierPlace] = {
    Tier.DATABASE: TierPlace(
        "statefulset", "database", "app=database", "postgres", POSTGRES, "database", claim="database-pvc"
    ),
    Tier.CACHE: TierPlace("statefulset", "cache", "app=cache", "redis-server", REDIS, "cache", claim="data-cache-0"),
    Tier.API: TierPlace("deployment", "api-deployment", "app=api", "shop", SHOP_GOOD, "api-service"),
    Tier.WEB: TierPlace("deployment", "web-app-deployment", "app=web-app", "shop", SHOP_GOOD, "web-app-service"),
    Tier.INGRESS: TierPlace(
        "deployment",
        "ingress-controller",
        "app.kubernetes.io/name=ingress-controller",
        "skipper",
        SKIPPER,
        "ingress-controller",
    ),
}


def obstacle(tiers: Sequence[Tier] = tuple(Tier)) -> str | None:
    """Return why these services cannot be had here, or None."""
    if Tier.CACHE in tiers and shutil.which("redis-server") is None:
        return "not installed: redis-server (tests/harness/setup installs it)"
    modules = {"shop": {Tier.API, Tier.WEB}, "skipper": {Tier.INGRESS}}
    found = (missing_parts(module) for module, wanted in modules.items() if wanted & set(tiers))
    return next((each for each in found if each), None)
