"""How somebody reaches an API server: written as a kubeconfig, read from one, turned into a TLS context."""

import base64
import json
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.harness.certificates import KeyPair


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """A server with its authority (PEM text), and either a client certificate and key (PEM text) or a token."""

    server: str
    authority: str
    certificate: str = ""
    key: str = ""
    token: str = ""

    @classmethod
    def by_certificate(cls, server: str, authority: Path, pair: KeyPair) -> "Access":
        """Return the access of somebody who has a client certificate."""
        return cls(
            server=server,
            authority=authority.read_text(),
            certificate=pair.certificate.read_text(),
            key=pair.key.read_text(),
        )

    @classmethod
    def read(cls, kubeconfig: Path) -> "Access":
        """Return the access of the current context. Raises ValueError when its user needs a program to log in."""
        document = yaml.safe_load(kubeconfig.read_text())
        context = _named(document, "contexts", document["current-context"])["context"]
        cluster = _named(document, "clusters", context["cluster"])["cluster"]
        user = _named(document, "users", context["user"])["user"]
        access = cls(
            server=cluster["server"].rstrip("/"),
            authority=_text(cluster, "certificate-authority", kubeconfig),
            certificate=_text(user, "client-certificate", kubeconfig),
            key=_text(user, "client-key", kubeconfig),
            token=user.get("token", ""),
        )
        if not access.token and not access.certificate:
            raise ValueError(f"{kubeconfig}: the user has neither a client certificate nor a token")
        return access

    def write(self, kubeconfig: Path, *, namespace: str = "default") -> Path:
        """Write a kubeconfig that needs no other file, readable by its owner only."""
        user: dict[str, str] = (
            {"token": self.token}
            if self.token
            else {
                "client-certificate-data": _encoded(self.certificate),
                "client-key-data": _encoded(self.key),
            }
        )
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "harness",
            "clusters": [
                {
                    "name": "harness",
                    "cluster": {"server": self.server, "certificate-authority-data": _encoded(self.authority)},
                }
            ],
            "users": [{"name": "harness", "user": user}],
            "contexts": [
                {"name": "harness", "context": {"cluster": "harness", "user": "harness", "namespace": namespace}}
            ],
        }
        kubeconfig.write_text(json.dumps(document, indent=1))
        kubeconfig.chmod(0o600)
        return kubeconfig

    def tls(self) -> ssl.SSLContext:
        """Return a TLS context that trusts the authority and shows the client certificate, if there is one."""
        context = ssl.create_default_context(cadata=self.authority or None)
        if self.certificate:
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as both:
                both.write(f"{self.certificate}\n{self.key}\n")
                both.flush()
                context.load_cert_chain(both.name)
        return context


def _named(document: Mapping[str, Any], kind: str, name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(each for each in document[kind] if each["name"] == name)
    return found


def _text(holder: Mapping[str, str], key: str, kubeconfig: Path) -> str:
    """Return a PEM text that a kubeconfig holds inline (KEY-data) or in a file (KEY)."""
    if f"{key}-data" in holder:
        return base64.b64decode(holder[f"{key}-data"]).decode()
    return (kubeconfig.parent / holder[key]).read_text() if key in holder else ""


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
