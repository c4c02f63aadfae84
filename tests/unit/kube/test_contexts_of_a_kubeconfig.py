"""A kubeconfig that cannot be used says what is wrong, and which contexts it has."""

from pathlib import Path

import pytest

from kintsugi.errors import KubeError
from kintsugi.kube.credentials import Credentials
from kintsugi.settings import KubeSettings

CONTEXTS = """\
clusters: [{name: far, cluster: {server: 'https://far.example.com'}}, {name: near, cluster: {server: 'http://near'}}]
users: [{name: ana, user: {token: a-token}}]
contexts: [{name: far, context: {cluster: far, user: ana}}, {name: near, context: {cluster: near, user: ana}}]
"""


@pytest.mark.parametrize(
    ("text", "context", "why"),
    [
        (None, None, "the file does not exist"),
        (CONTEXTS, None, "no context is the current one: choose one with --context; it has far, near"),
        (CONTEXTS, "prod", "there is no context prod; it has far, near"),
        ("current-context: far", None, "there is no context far; it has none"),
    ],
)
async def test_a_context_that_is_not_there_is_told_with_those_that_are(
    tmp_path: Path, text: str | None, context: str | None, why: str
) -> None:
    file = tmp_path / "kubeconfig"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    with pytest.raises(KubeError) as refused:
        await Credentials.load(KubeSettings(kubeconfig=file, context=context))
    assert str(refused.value) == f"credentials for Kubernetes cannot be read from {file}: {why}"


async def test_the_credentials_say_which_context_they_are_of(tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(f"{CONTEXTS}current-context: far\n", encoding="utf-8")
    chosen = await Credentials.load(KubeSettings(kubeconfig=file, context="near"))
    assert (chosen.access.host, chosen.access.source) == ("http://near", f"context near of {file}")
    current = await Credentials.load(KubeSettings(kubeconfig=file))
    assert (current.access.host, current.access.source) == ("https://far.example.com", f"context far of {file}")
