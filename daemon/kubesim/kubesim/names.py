"""The DNS of the embedded cluster: the addresses of its Services, and of its API server, by their names."""

from typing import Final

from kubeobjects import resources
from kubesim.controllers.services import ready_endpoints
from kubesim.storage.store import Store

API: Final = ("kubernetes", "default")
DOMAIN: Final = ("svc", "cluster", "local")


def resolve(store: Store, host: str, *, api: str) -> tuple[str, ...]:
    """
    Return the addresses of a name; none when no Service has it.

    A Service is NAME.NAMESPACE, and so on up to NAME.NAMESPACE.svc.cluster.local; one without a cluster IP has the
    addresses of its ready endpoints.
    """
    labels = host.rstrip(".").split(".")
    if len(labels) < 2 or tuple(labels[2:]) != DOMAIN[: len(labels) - 2]:
        return ()
    name, namespace = labels[:2]
    if (name, namespace) == API:
        return (api,)
    service = store.get(resources.SERVICES, namespace, name)
    if service is None:
        return ()
    own = service["spec"].get("clusterIP", "")
    if own and own != "None":
        return (own,)
    return tuple(address for each in ready_endpoints(store, service) for address in each["addresses"])
