"""
The spellings of settings: camelCase in the file, as in Kubernetes, SNAKE_CASE in variables. Earlier names are refused.

Each earlier name gets one error that names today's; docs/decisions/0032-settings-follow-kubernetes.md has the table.
"""

import re
from collections.abc import Collection, Iterator, Mapping

PREFIX = "KINTSUGI_"

EARLIER: Mapping[str, str] = {
    "guards.servicesAtOnce": "guards.maxConcurrentServices",
    "guards.servicesAtOncePerNamespace": "guards.maxConcurrentServicesPerNamespace",
    "kube.serviceAccount": "kube.serviceAccountDir",
    "kube.tellAfter": "kube.notifyAfter",
    "ledger.keep": "ledger.retention",
    "restore.claim": "restore.existingClaim",
    "restore.drillRoom": "restore.drillEphemeralStorage",
    "restore.keep": "restore.ttlAfterFinished",
    "restore.longest": "restore.activeDeadline",
    "restore.pullPolicy": "restore.imagePullPolicy",
    "restore.room": "restore.volumeSize",
    "restore.serviceAccount": "restore.serviceAccountName",
    "restore.startWithin": "restore.startTimeout",
    "restore.storageClass": "restore.storageClassName",
}
"""Settings that had another name, in camelCase; all others were only written in snake_case."""


def camel(name: str) -> str:
    """Write a name in camelCase; one that is so already stays."""
    return re.sub(r"_([a-z0-9])", lambda found: found[1].upper(), name)


def snake(name: str) -> str:
    """Write a name in snake_case; one that is so already stays."""
    return re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", name)


def variable(name: str) -> str:
    """Return the variable of the environment that says a setting: `guards.maxUnavailable` is `KINTSUGI_GUARDS__MAX_UNAVAILABLE`."""
    return PREFIX + snake(name).replace(".", "__").upper()


def now_written(name: str, known: Collection[str]) -> str | None:
    """Return how a setting of an earlier name is written now; None for one that has no other name."""
    today = EARLIER.get(camel(name), camel(name))
    return today if today != name and today in known else None


def paths(tree: Mapping[str, object], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Go through all paths of nested values, outer ones first."""
    for name, value in tree.items():
        yield (*above, name)
        if isinstance(value, Mapping):
            yield from paths(value, (*above, name))
