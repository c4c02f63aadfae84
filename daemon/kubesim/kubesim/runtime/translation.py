"""
Translates a container's own names into names of this machine.

There are no mount namespaces and no cluster DNS here. A path at or below a mount path becomes the path in its folder,
and the name of a Service or of a pod behind one becomes an address, wherever a whole word of a command, or a value of
its environment, is one. An unknown name is unchanged, and fails where it is used.
"""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kubeobjects import resources
from kubesim.controllers.services import addresses_of
from kubesim.manifest import dig, namespace_of
from kubesim.storage.store import Store

_OPTION: Final = re.compile(r"(--?[A-Za-z][\w-]*=)(.*)", re.DOTALL)
_HOST: Final = re.compile(r"((?:[a-z][a-z0-9+.-]*://(?:[^@/\s]*@)?)?)([a-z0-9.-]+)((?::\d+)?(?:/.*)?)", re.DOTALL)
_DOMAIN: Final = re.compile(r"\.svc(\.cluster\.local)?\.?$")
_OWN: Final = ("127.0.0.1", "localhost")
# This installation may lie below what a container calls /tmp; its programs are the machine's all the same.
_INSTALLED: Final = (sys.prefix, str(Path(__file__).parents[3]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Translation:
    """The translation for one container; `loopback` is the address for its 127.0.0.1, "" for the machine's own."""

    store: Store
    mounts: Mapping[str, Path]
    loopback: str = ""

    def word(self, text: str) -> str:
        """Translate one argument, or the value of an option written as `--option=value`."""
        option = _OPTION.fullmatch(text)
        return option[1] + self.value(option[2]) if option else self.value(text)

    def value(self, text: str) -> str:
        """Translate one path, host, host with port, or URL; anything else stays as it is."""
        if text.startswith("/"):
            return self._path(text)
        if self.loopback and text in _OWN:
            return self.loopback
        host = _HOST.fullmatch(text)
        address = address_of(self.store, host[2]) if host else ""
        return f"{host[1]}{address}{host[3]}" if host and address else text

    def back(self, line: str) -> str:
        """Write paths of this machine as the container would."""
        for mount, folder in self.mounts.items():
            line = line.replace(str(folder), mount)
        return line

    def _path(self, text: str) -> str:
        if text.startswith(_INSTALLED):
            return text
        for mount in sorted(self.mounts, key=len, reverse=True):
            below = text.removeprefix(mount.rstrip("/"))
            if below != text and (not below or below.startswith("/")):
                return f"{self.mounts[mount]}{below}"
        return text


def address_of(store: Store, name: str) -> str:
    """
    Resolve `SERVICE.NAMESPACE` or `POD.SERVICE.NAMESPACE`, with or without `.svc.cluster.local`; "" for an unknown
    name.
    """
    parts = _DOMAIN.sub("", name).split(".")
    if len(parts) == 3:
        return _pod(store, *parts)
    return next(iter(addresses_of(store, *parts)), "") if len(parts) == 2 else ""


def _pod(store: Store, hostname: str, subdomain: str, namespace: str) -> str:
    for pod in store.list(resources.PODS, namespace):
        spec = pod["spec"]
        if (spec.get("hostname"), spec.get("subdomain"), namespace_of(pod)) == (hostname, subdomain, namespace):
            return str(dig(pod, "status", "podIP", default=""))
    return ""
