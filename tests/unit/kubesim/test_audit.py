"""The witness tells of every request: who, what, and whether it took effect."""

from pathlib import Path

from kubesim import EmbeddedCluster
from tests.unit.kubesim.client import CONFIGMAPS, Client, config


async def test_a_request_is_witnessed_with_its_effect(embedded: EmbeddedCluster, client: Client) -> None:
    """The witness of what was done: only what changed something counts as applied."""
    await client.send("POST", CONFIGMAPS, config("one"))
    await client.send("POST", CONFIGMAPS, config("one"))
    await client.send("PATCH", f"{CONFIGMAPS}/one", {"data": {"a": "b"}}, kind="application/merge-patch+json")
    await client.send("PATCH", f"{CONFIGMAPS}/one", {"data": {"a": "b"}}, kind="application/merge-patch+json")
    await client.send("DELETE", f"{CONFIGMAPS}/one", dryRun="All")
    await client.send("GET", f"{CONFIGMAPS}/one")
    seen = [(each.verb, each.status, each.applied, each.mutating) for each in embedded.requests]
    assert seen == [
        ("create", 201, True, True),
        ("create", 409, False, True),
        ("patch", 200, True, True),
        ("patch", 200, False, True),
        ("delete", 200, False, False),
        ("get", 200, False, False),
    ]
    assert {each.user for each in embedded.requests} == {"kubernetes-admin"}
    first = embedded.requests[0]
    assert (first.path, len(first.digest)) == (CONFIGMAPS, 64)
    assert first.time <= embedded.requests[-1].time


async def test_a_kubeconfig_is_for_its_owner_only(embedded: EmbeddedCluster, tmp_path: Path) -> None:
    path = embedded.kubeconfig(tmp_path / "kubeconfig", account="secret")
    assert path.stat().st_mode & 0o777 == 0o600
