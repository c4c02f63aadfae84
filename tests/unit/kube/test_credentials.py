"""Each way of a kubeconfig to name the server and to authenticate is read; one that cannot be used says what is wrong."""

import ssl
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from kintsugi.errors import KubeError
from kintsugi.kube.credentials import Access, Credentials
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


PLUGIN = """\
exec:
  apiVersion: client.authentication.k8s.io/v1
  command: sh
  args: [-c, echo "$ANSWER"]
  env:
  - name: ANSWER
    value: '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "of-the-plugin"}}'
"""


@pytest.mark.parametrize(
    ("user", "authorization"),
    [
        ("token: a-token", "Bearer a-token"),
        ("tokenFile: the-token", "Bearer of-a-file"),
        ("{username: ana, password: secret}", "Basic YW5hOnNlY3JldA=="),
        (PLUGIN, "Bearer of-the-plugin"),
        ("{auth-provider: {name: oidc, config: {id-token: a.e30.c}}}", "Bearer a.e30.c"),
    ],
    ids=["token", "file", "password", "plugin", "oidc"],
)
async def test_each_way_to_authenticate_is_read(tmp_path: Path, user: str, authorization: str) -> None:
    (tmp_path / "the-token").write_text("of-a-file\n")
    access = await _read(tmp_path, "{server: 'http://near'}", user)
    assert access.headers == {"Authorization": authorization}


async def test_the_way_to_the_server_is_read(tmp_path: Path) -> None:
    cluster = "{server: 'https://far/', insecure-skip-tls-verify: true, tls-server-name: its-name, proxy-url: 'http://between'}"
    access = await _read(tmp_path, cluster, "{}")
    assert (access.host, access.server_hostname, access.proxy) == ("https://far", "its-name", "http://between")
    assert isinstance(access.tls, ssl.SSLContext)
    assert access.tls.verify_mode is ssl.CERT_NONE


async def _read(folder: Path, cluster: str, user: str) -> Access:
    file = folder / "kubeconfig"
    file.write_text(
        f"current-context: it\ncontexts: [{{name: it, context: {{cluster: it, user: it}}}}]\n"
        f"clusters:\n- name: it\n  cluster: {cluster}\nusers:\n- name: it\n  user:\n{textwrap.indent(user, '    ')}\n",
        encoding="utf-8",
    )
    return (await Credentials.load(KubeSettings(kubeconfig=file))).access


IMPORTED = """
import sys
import kintsugi.kube.credentials
print(sum(name.startswith("kubernetes_asyncio") for name in sys.modules))
from kubernetes_asyncio.client import ApiClient, Configuration, CoreV1Api
import kubernetes_asyncio
print(CoreV1Api(ApiClient.__new__(ApiClient)), Configuration().host, kubernetes_asyncio.watch.Watch.__name__)
"""


def test_the_models_of_the_library_are_imported_only_when_they_are_asked_for() -> None:
    """They are 800 modules and 30 MiB; another distribution in the same process may need them."""
    done = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=False)
    alone, *whole = done.stdout.splitlines()
    assert int(alone) < 20, alone
    assert len(whole) == 1, done.stderr
