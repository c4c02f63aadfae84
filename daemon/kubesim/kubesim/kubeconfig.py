"""
A kubeconfig for the embedded cluster, as kubectl and every client library read it.

kubectl sends no bearer token over plain HTTP. So the address carries the token too, and a request without
an `Authorization` header is known by it.
"""

from pathlib import Path
from typing import Final

import yaml

PREFIX: Final = "/as/"


def write_kubeconfig(path: Path, *, url: str, token: str, namespace: str = "default") -> Path:
    """Write a kubeconfig with one context, readable by its owner only; answer with its path."""
    name = "kubesim"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": f"{url}{PREFIX}{token}"}}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": namespace}}],
        "current-context": name,
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def split_token(path: str) -> tuple[str, str]:
    """Take the token off a request path; empty when it has none."""
    if not path.startswith(PREFIX):
        return "", path
    token, _, rest = path.removeprefix(PREFIX).partition("/")
    return token, f"/{rest}"
