"""
The API server's address, TLS and our credentials, from a kubeconfig or from the pod's service account.

kubernetes-asyncio reads both (client certificates, tokens, token files, exec plugins, OIDC); nothing else of it is
used.
"""

import asyncio
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from kintsugi.errors import KubeError, Unauthorized
from kintsugi.kube.credential_readers import InClusterConfigLoader, KubeConfigMerger, load_kube_config
from kintsugi.settings import KubeSettings
from kintsugi.telemetry import SECRETS, refused_as


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Access:
    """One reading of the credentials, from `source`, and the `context` of the kubeconfig. `host` has no slash at its end; `headers` authenticate a request."""

    host: str
    headers: Mapping[str, str] = field(repr=False)
    tls: ssl.SSLContext | bool
    server_hostname: str | None
    proxy: str | None
    source: str = ""
    context: str = ""


@dataclass(kw_only=True)
class _Configuration:
    """The fields of the library's `Configuration` that its readers set."""

    host: str = "http://localhost"
    api_key: dict[str, str] = field(default_factory=dict)
    ssl_ca_cert: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    verify_ssl: bool = True
    tls_server_name: str | None = None
    proxy: str | None = None


class Credentials:
    """The current credentials, read anew when the server no longer takes them."""

    def __init__(self, settings: KubeSettings, access: Access) -> None:
        self._settings = settings
        self._renewing = asyncio.Lock()
        self.access = access

    @classmethod
    async def load(cls, settings: KubeSettings) -> "Credentials":
        """Read the credentials. Raises KubeError when they cannot be read; the text says where they were sought."""
        return cls(settings, await _read(settings))

    async def renew(self, refused: Access) -> Access:
        """
        Read the credentials again because `refused` got a 401, once for all requests that were refused together.

        Raises Unauthorized when they cannot be read.
        """
        async with self._renewing:
            if self.access is refused:
                try:
                    self.access = await _read(self._settings)
                except KubeError as error:
                    raise Unauthorized(f"the API server answered 401, and {error}", status=401) from error
            return self.access


async def _read(settings: KubeSettings) -> Access:
    configuration = _Configuration()
    where = settings.kubeconfig or settings.service_account_dir

    def refusal(error: Exception) -> KubeError:
        return KubeError(f"credentials for Kubernetes cannot be read from {where}: {error or type(error).__name__}")

    # A malformed kubeconfig, a missing file or a failing exec plugin surfaces as any kind of exception.
    with refused_as(refusal, passing=()):
        source, context = "the pod's own service account", ""
        if settings.kubeconfig is None:
            _read_service_account(settings, configuration)
        else:
            context = _context_in(str(settings.kubeconfig), settings.context)
            source = f"context {context} of {settings.kubeconfig}"
            await load_kube_config(
                config_file=str(settings.kubeconfig),
                context=context,
                client_configuration=configuration,
                persist_config=False,
            )
        return replace(_access(configuration), source=source, context=context)


def _context_in(files: str, wanted: str | None) -> str:
    """Return the context to use of a kubeconfig, or of several as kubectl takes them. Raises KubeError with what there is."""
    if not any(Path(each).exists() for each in files.split(os.pathsep)):
        raise KubeError("the file does not exist")
    config = KubeConfigMerger(files).config
    merged = config.value if config is not None else {}
    names = [str(each["name"]) for each in merged.get("contexts") or ()]
    context = wanted or merged.get("current-context")
    has = f"it has {', '.join(names) or 'none'}"
    if not context:
        raise KubeError(f"no context is the current one: choose one with --context; {has}")
    if context not in names:
        raise KubeError(f"there is no context {context}; {has}")
    return str(context)


def _read_service_account(settings: KubeSettings, configuration: _Configuration) -> None:
    loader = InClusterConfigLoader(
        token_filename=str(settings.service_account_dir / "token"),
        cert_filename=str(settings.service_account_dir / "ca.crt"),
        try_refresh_token=False,
        environ=os.environ,
    )
    loader.load_and_set(configuration)  # type: ignore[arg-type]  # it sets fields that ours has


def _access(configuration: _Configuration) -> Access:
    token = configuration.api_key.get("BearerToken", "").strip()
    SECRETS.register(token.removeprefix("Bearer "))
    host = configuration.host.rstrip("/")
    return Access(
        host=host,
        headers=MappingProxyType({"Authorization": token} if token else {}),
        tls=_tls(configuration) if host.startswith("https:") else True,
        server_hostname=configuration.tls_server_name,
        proxy=configuration.proxy,
    )


def _tls(configuration: _Configuration) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, keyfile=configuration.key_file)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
