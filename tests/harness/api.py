"""A small client of the Kubernetes REST API, so that a test can look often without starting kubectl each time."""

import json
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import urllib3

from tests.harness.access import Access

Object = dict[str, Any]
_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


class ApiError(Exception):
    """The API server answered with an error; `status` is its HTTP code."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


@dataclass(frozen=True, kw_only=True, slots=True)
class Resource:
    """A kind of object as the server names it in its paths."""

    prefix: str
    plural: str
    namespaced: bool

    def path(self, namespace: str | None, name: str | None = None, sub: str | None = None) -> str:
        """Return the path of one object, of its subresource, or of all objects of this kind."""
        place = [f"namespaces/{namespace}"] if self.namespaced and namespace else []
        return "/".join([self.prefix, *place, self.plural, *(each for each in (name, sub) if each)])


class ApiClient:
    """Speaks to one API server as one user, on connections that are kept. Every call has a time limit, in seconds."""

    def __init__(self, access: Access, *, limit: float = 10) -> None:
        self._server = access.server
        self._headers = {"User-Agent": "kintsugi-harness"}
        if access.token:
            self._headers["Authorization"] = f"Bearer {access.token}"
        tls = access.tls() if access.server.startswith("https") else None
        self._pool = urllib3.PoolManager(ssl_context=tls, timeout=limit, retries=False)
        self._resources: dict[str, Resource] = {}

    def request(
        self, method: str, path: str, body: object = None, *, content: str = "application/json", accept: str = "*/*"
    ) -> Any:
        """Send one request and return the decoded answer (text when it is not JSON).

        Raises ApiError for an answer that is an error, OSError when there is none.
        """
        headers = {**self._headers, "Accept": accept, "Content-Type": content}
        data = None if body is None else json.dumps(body).encode()
        with _as_os_errors():
            answer = self._pool.request(method, self._server + path, body=data, headers=headers)
        text = answer.data.decode(errors="replace")
        if answer.status >= 400:
            raise ApiError(answer.status, _message(text))
        return json.loads(text) if text.startswith(("{", "[")) else text

    def changed(self, kind: str, version: str) -> None:
        """Return when an object of this kind changes after a resource version, or when the version is too old.

        Raises OSError when the server is gone, TimeoutError when nothing has changed within the limit.
        """
        url = f"{self._server}{self.resource(kind).path(None)}?watch=true&resourceVersion={version}"
        with (
            _as_os_errors(),
            self._pool.request("GET", url, headers=self._headers, preload_content=False) as events,
        ):
            next(events.stream(), None)

    def resource(self, kind: str) -> Resource:
        """Return the resource that kubectl would take for this word: pod, pods, po, Pod, deployments.apps."""
        if kind.lower() not in self._resources:
            self._resources = self._discover()
        try:
            return self._resources[kind.lower()]
        except KeyError:
            raise LookupError(f"the server knows no kind {kind!r}") from None

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object:
        """Return one object. Raises ApiError with status 404 when it is not there."""
        answer: Object = self.request("GET", self.resource(kind).path(namespace, name))
        return answer

    def list(self, kind: str, namespace: str | None = None, *, selector: str = "") -> list[Object]:
        """Return all objects of a kind, in one namespace or in all, that a label selector takes."""
        query = f"?labelSelector={urllib.parse.quote(selector)}" if selector else ""
        items: list[Object] = self.request("GET", self.resource(kind).path(namespace) + query)["items"]
        return items

    def create(self, kind: str, body: Mapping[str, Any], namespace: str | None = None) -> Object:
        """Create an object and return it as the server made it."""
        answer: Object = self.request("POST", self.resource(kind).path(namespace), body)
        return answer

    def apply(self, body: Mapping[str, Any]) -> Object:
        """Apply an object on the server's side, taking over fields that others hold."""
        metadata = body["metadata"]
        group = body["apiVersion"].partition("/")[0] if "/" in body["apiVersion"] else ""
        resource = self.resource(f"{body['kind']}.{group}" if group else body["kind"])
        path = resource.path(metadata.get("namespace"), metadata["name"])
        query = "?fieldManager=harness&force=true"
        answer: Object = self.request("PATCH", path + query, body, content="application/apply-patch+yaml")
        return answer

    def patch(
        self, kind: str, name: str, body: Mapping[str, Any], namespace: str | None = None, *, sub: str | None = None
    ) -> Object:
        """Merge fields into an object or one of its subresources (JSON merge patch)."""
        path = self.resource(kind).path(namespace, name, sub)
        answer: Object = self.request("PATCH", path, body, content="application/merge-patch+json")
        return answer

    def delete(self, kind: str, name: str, namespace: str | None = None, *, grace: int | None = None) -> None:
        """Ask for an object's deletion and do not wait for it."""
        options: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        self.request("DELETE", self.resource(kind).path(namespace, name), options)

    def _discover(self) -> dict[str, Resource]:
        found: dict[str, Resource] = {}
        for root in ("/api", "/apis"):
            for group in self.request("GET", root, accept=_DISCOVERY)["items"]:
                name = group["metadata"].get("name", "")
                # The first version is the one that the server prefers.
                version = group["versions"][0]
                prefix = f"{root}/{name}/{version['version']}" if name else f"{root}/{version['version']}"
                for each in version["resources"]:
                    _enter(found, each, prefix, name)
        return found


@contextmanager
def _as_os_errors() -> Iterator[None]:
    try:
        yield
    except urllib3.exceptions.NewConnectionError as error:
        raise ConnectionError(str(error)) from error
    except urllib3.exceptions.TimeoutError as error:
        raise TimeoutError(str(error)) from error
    except urllib3.exceptions.HTTPError as error:
        raise ConnectionError(str(error)) from error


def _enter(found: dict[str, Resource], described: Mapping[str, Any], prefix: str, group: str) -> None:
    resource = Resource(prefix=prefix, plural=described["resource"], namespaced=described["scope"] == "Namespaced")
    kind = described["responseKind"]["kind"]
    for word in (resource.plural, described.get("singularResource", ""), kind, *described.get("shortNames", ())):
        # Core kinds come first and keep their plain names (events, for one, are in two groups).
        found.setdefault(word.lower(), resource)
        found.setdefault(f"{word}.{group}".lower(), resource)


def _message(text: str) -> str:
    try:
        return str(json.loads(text).get("message", text))
    except (ValueError, AttributeError):
        return text
