"""
What a program in a container must not read or ask, as far as only the live pod tells: its Secrets, and where its names lead.
"""

import re
from collections.abc import Callable, Iterator, Sequence

from kintsugi.actions.verb_bases import VerbClients
from kintsugi.commands.programs import LOCAL, hosts_of, paths_of, program_of
from kintsugi.errors import NotFound, Refused
from kintsugi.mask import MASK
from kintsugi.model.essentials import essential
from kintsugi.model.hosts import ServiceHost, service_of
from kintsugi.telemetry import is_secret_key
from kubeobjects import unstructured
from kubeobjects.resources import SERVICES
from kubeobjects.unstructured import Unstructured

_SECRET_SOURCES = ("secret", "serviceAccountToken", "podCertificate")
_CSI_OF_SECRETS = "secrets-store.csi.k8s.io"
_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_.-]*)=")


async def check(clients: VerbClients, pod: Unstructured, container: str, argv: Sequence[str]) -> None:
    """Refuse a path of a mounted Secret, and a host that is no Service or a protected one: raises Refused, or KubeError."""
    mounts = tuple(_mounted_secrets(pod, _container(pod, container)))
    for path in map(_plain, paths_of(argv)):
        for mount in mounts:
            is_above = program_of(argv).recursive and _is_below(mount, path)
            if is_above or _is_below(path, mount):
                raise Refused(f"{argv[0]} {path} is not run: a Secret is mounted at {mount} in this container")
    for host in hosts_of(argv):
        await _check_host(clients, pod, host)


def masked(pod: Unstructured, container: str, argv: Sequence[str]) -> Callable[[str], str]:
    """Return what masks the variables of a container in the output of `env` and `printenv`; all other output stays as it is."""
    if argv[0] not in ("env", "printenv"):
        return lambda text: text
    is_secret = _secret_variables(_container(pod, container))
    if len(argv) > 1:
        return lambda text: f"{MASK}\n" if text and is_secret(argv[1]) else text
    return lambda text: "\n".join(_masked_lines(text.split("\n"), is_secret))


def _masked_lines(lines: Sequence[str], is_secret: Callable[[str], bool]) -> Iterator[str]:
    """Mask values; a line after a masked one that begins no variable in capitals goes on with its value."""
    in_secret = False
    for line in lines:
        found = _VARIABLE.match(line)
        begins = found is not None and (not in_secret or found[1].isupper())
        in_secret = is_secret(found[1]) if found is not None and begins else in_secret
        if not in_secret or not line:
            yield line
        elif found is not None and begins:
            yield f"{found[1]}={MASK}"


def _secret_variables(container: Unstructured) -> Callable[[str], bool]:
    """Return what says of a variable's name whether its value is, or may be, from a Secret."""
    from_secret: set[str] = set()
    plain: set[str] = set()
    for each in unstructured.nested_maps(container, "env"):
        refers = "$(" in unstructured.nested_string(each, "value")
        secret = refers or bool(unstructured.nested_map(each, "valueFrom", "secretKeyRef"))
        (from_secret if secret else plain).add(unstructured.nested_string(each, "name"))
    whole = any("secretRef" in each for each in unstructured.nested_maps(container, "envFrom"))
    return lambda name: is_secret_key(name) or name in from_secret or (whole and name not in plain)


def _container(pod: Unstructured, name: str) -> Unstructured:
    """Return a container's specification, of whichever kind."""
    kinds = ("containers", "initContainers", "ephemeralContainers")
    found = (each for kind in kinds for each in unstructured.nested_maps(pod, "spec", kind))
    return next((each for each in found if unstructured.nested_string(each, "name") == name), {})


def _mounted_secrets(pod: Unstructured, container: Unstructured) -> Iterator[str]:
    volumes = {
        unstructured.nested_string(each, "name")
        for each in unstructured.nested_maps(pod, "spec", "volumes")
        if _holds_secret(each)
    }
    for mount in unstructured.nested_maps(container, "volumeMounts"):
        if unstructured.nested_string(mount, "name") in volumes:
            yield _plain(unstructured.nested_string(mount, "mountPath"))


def _holds_secret(volume: Unstructured) -> bool:
    sources = unstructured.nested_maps(volume, "projected", "sources")
    projected = any(key in source for source in sources for key in _SECRET_SOURCES)
    return "secret" in volume or projected or unstructured.nested_string(volume, "csi", "driver") == _CSI_OF_SECRETS


def _plain(path: str) -> str:
    """Return a path without a slash at its end, and /run for /var/run, which leads there."""
    path = path.rstrip("/")
    return path.removeprefix("/var") if f"{path}/".startswith("/var/run/") else path


def _is_below(path: str, folder: str) -> bool:
    return f"{path}/".startswith(f"{folder}/")


async def _check_host(clients: VerbClients, pod: Unstructured, host: str) -> None:
    policy = unstructured.nested_string(pod, "spec", "dnsPolicy")
    own_network = unstructured.nested_field(pod, "spec", "hostNetwork") is not True
    if not own_network or policy in ("Default", "None"):
        raise Refused(
            f"{host} is not asked from a pod in the node's network, or without the cluster's DNS: it may be any host"
        )
    if host in LOCAL:
        return
    namespace = unstructured.nested_string(pod, "metadata", "namespace")
    place = ServiceHost(service=host, namespace=namespace) if "." not in host else service_of(host)
    if place is None:
        raise Refused(f"{host} is not a Service of the cluster: name it as SERVICE.NAMESPACE")
    if place.namespace in clients.clients.protected or place == service_of(clients.clients.ledger_host):
        raise Refused(f"{place} is not asked from a container: it is protected")
    try:
        service = await clients.kube.get(SERVICES, place.service, place.namespace)
    except NotFound as error:
        raise Refused(f"{host} is not asked from a container: there is no Service {place}") from error
    selector = unstructured.nested_map(service, "spec", "selector")
    if what := essential(place.namespace, {key: str(value) for key, value in selector.items()}, ()):
        raise Refused(f"{place} is not asked from a container: it is {what}")
    if unstructured.nested_string(service, "spec", "type") == "ExternalName":
        raise Refused(f"{place} is not asked from a container: it leads out of the cluster")
