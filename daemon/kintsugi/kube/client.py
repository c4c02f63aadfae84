"""
Requests to the Kubernetes API in the words of kubectl: get, list, create, replace, patch, delete, logs, exec.

Objects go in and out as JSON. Reads are repeated within their deadline (jitter, Retry-After honoured); changes never
are, except after a 429, which says that nothing was applied.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import partial
from typing import Self, TypedDict, TypeVar, Unpack

import msgspec
import orjson

from kintsugi.errors import KubeError
from kintsugi.json_limits import (
    DEEPEST_ANSWER,
    MOST_IN_ANSWER,
    MOST_IN_OBJECT,
    MOST_OBJECTS,
    entries_of,
    has_more,
    is_too_deep,
)
from kintsugi.kube.api_errors import Request, unanswered
from kintsugi.kube.execution import ExecOptions, Executed, exec_request, execute
from kintsugi.kube.object_cache import T
from kintsugi.kube.pages import Page, Reader, iter_objects, pages
from kintsugi.kube.repeats import persist
from kintsugi.kube.tables import TABLE, rows_of
from kintsugi.kube.transport import AnswerListener, RawAnswer, Transport, ignore_answer
from kintsugi.offload import processed
from kintsugi.settings import KubeSettings
from kubeobjects.resources import PODS, Resource
from kubeobjects.unstructured import without_managed_fields

Json = dict[str, object]
Read = TypeVar("Read")
Patch = Mapping[str, object] | Sequence[Mapping[str, object]]

FIELD_MANAGER = "kintsugi"
_TOO_LONG = (
    f"the list has more than {MOST_OBJECTS:,} objects or {MOST_IN_ANSWER:,} entries: "
    "ask for less of it, by a namespace, -l or --field-selector"
)
SCALE = "scale"
"""The subresource that objects of many kinds have, with their replicas wherever their kind keeps them."""

_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_RULES_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
_ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

_ESCAPED = (
    (b"&", rb"\u0026"),
    (b"<", rb"\u003c"),
    (b">", rb"\u003e"),
    ("\u2028".encode(), rb"\u2028"),
    ("\u2029".encode(), rb"\u2029"),
)
"""These occur in JSON only within strings, so that they can be replaced in the whole text."""

_LOG_LIMIT_BYTES = 10 * 1024 * 1024


class PatchKind(StrEnum):
    """The three forms of a patch, by their content types."""

    MERGE = "application/merge-patch+json"
    JSON = "application/json-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """A whole list. `resource_version` is the moment at which it was true."""

    items: list[Json]
    resource_version: str


class WriteOptions(TypedDict, total=False):
    """Options of a create, replace or patch: `subresource` ("scale", "status", "eviction"), `dry_run`."""

    subresource: str | None
    dry_run: bool


class DeleteOptions(TypedDict, total=False):
    """Options of a delete besides the uid: a resourceVersion that must still match, and the grace period of pods."""

    resource_version: str | None
    grace: timedelta | None
    dry_run: bool


class LogOptions(TypedDict, total=False):
    """
    Options of a log: the wanted part.

    `follow` goes on until `deadline` (counted from the first read; the request timeout by default) and then ends
    quietly; a log that is not followed must come whole by then. `limit_bytes` ends it quietly, too (10 MiB).
    """

    container: str | None
    previous: bool
    since: timedelta | None
    tail: int | None
    timestamps: bool
    follow: bool
    limit_bytes: int
    deadline: timedelta | None


class KubeClient:
    """
    The API of one cluster.

    Every method raises a KubeError: NotFound, Conflict, Forbidden (the server's sentence), Invalid, Unauthorized,
    TooManyRequests, ServerUnavailable (nothing was done), OutcomeUnknown (a change was sent and its answer lost). A
    caller that cancels a change, by its own timeout for instance, knows no more of its outcome than OutcomeUnknown.
    """

    def __init__(self, transport: Transport, settings: KubeSettings) -> None:
        self._transport = transport
        self._settings = settings

    @classmethod
    @asynccontextmanager
    async def connect(cls, settings: KubeSettings, on_answer: AnswerListener = ignore_answer) -> AsyncIterator[Self]:
        """
        Read the credentials and hold connections open; `on_answer` is called with the time at which each answer was
        written.

        Raises KubeError when credentials cannot be read.
        """
        async with Transport.connect(settings, on_answer) as transport:
            yield cls(transport, settings)

    @property
    def server(self) -> str:
        """Return the URL of the API server."""
        return self._transport.server

    @property
    def source(self) -> str:
        """Return where the credentials are from: a context of a kubeconfig, or the pod's own service account."""
        return self._transport.source

    @property
    def context(self) -> str:
        """Return the context of the kubeconfig, "" for a service account."""
        return self._transport.context

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Json:
        """Read one object, as it is now."""
        return await self._json(Request(method="GET", path=resource.path(namespace, name)))

    async def get_scale(self, resource: Resource, name: str, namespace: str) -> Json:
        """Read the `scale` subresource of one object. Raises NotFound also where its kind has none."""
        return await self._json(Request(method="GET", path=resource.path(namespace, name, SCALE)))

    async def get_metadata(self, resource: Resource, name: str, namespace: str | None = None) -> Json:
        """Read the metadata of one object, as PartialObjectMetadata: its content is not sent."""
        return await self._json(Request(method="GET", path=resource.path(namespace, name), accept=_METADATA))

    async def table(
        self, resource: Resource, namespace: str, *, name: str = "", labels: str = "", fields: str = ""
    ) -> Sequence[Mapping[str, object]]:
        """
        Read the columns that the server itself prints of objects, of one where `name` is given, without the objects.

        Raises KubeError where the answer is no table, or has more than `MOST_OBJECTS` rows.
        """
        query = {"includeObject": "None", "labelSelector": labels, "fieldSelector": fields}
        request = Request(
            method="GET", path=resource.path(namespace, name or None), params=_present(query), accept=TABLE
        )
        body = await self.fetch(request)
        rows = await processed(len(body), partial(rows_of, request, body))
        if len(rows) > MOST_OBJECTS:
            raise KubeError(f"{request}: {_TOO_LONG}")
        return rows

    async def list(
        self, resource: Resource, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> Listing:
        """
        Read all objects of a kind, page by page, as they were at one moment; no namespace means all of them.

        Items carry `apiVersion` and `kind`, which the server leaves out of lists, and no `managedFields`, which no
        caller reads. Raises KubeError where they are more than `MOST_OBJECTS`, or have more than `MOST_IN_ANSWER`
        entries together.
        """
        items: list[Json] = []
        version = ""
        read = partial(_items, resource)
        async for part in self.pages(resource, read, namespace, labels=labels, fields=fields):
            if part.first:
                items = []
            items += part.items
            if len(items) > MOST_OBJECTS or entries_of(items, MOST_IN_ANSWER) > MOST_IN_ANSWER:
                raise KubeError(f"GET {resource.path(namespace)}: {_TOO_LONG}")
            version = part.metadata.resource_version
        return Listing(items=items, resource_version=version)

    def iter_objects(
        self, resource: Resource, kept: type[T], namespace: str | None = None, *, labels: str = ""
    ) -> AsyncIterator[T]:
        """
        Yield all objects of a kind as they were at one moment, with their kept fields, however many there are.

        Raises KubeError also for an object that cannot be read: what is decided about all of them needs all of them.
        """
        return iter_objects(partial(self.pages, resource, namespace=namespace, labels=labels), kept, resource)

    def pages(
        self,
        resource: Resource,
        read: Reader[Read],
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
    ) -> AsyncIterator[Page[Read]]:
        """Yield a list in pages, their items as `read` makes them; see `Page.first` for what an expired page token means."""
        query = {"labelSelector": labels, "fieldSelector": fields}
        return pages(self.fetch, resource.path(namespace), query, read)

    async def delete(
        self, resource: Resource, name: str, namespace: str | None, *, uid: str, **options: Unpack[DeleteOptions]
    ) -> Json:
        """
        Delete the object of this uid. Raises Conflict when the name belongs to another object by now.

        Dependents are collected in the background, as kubectl does.
        """
        dry_run = options.get("dry_run", False)
        preconditions = _present({"uid": uid, "resourceVersion": options.get("resource_version")})
        grace = options.get("grace")
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": preconditions,
            "propagationPolicy": "Background",
            **({} if grace is None else {"gracePeriodSeconds": int(grace.total_seconds())}),
            **({"dryRun": ["All"]} if dry_run else {}),
        }
        return await self._json(
            Request(
                method="DELETE",
                path=resource.path(namespace, name),
                params={"dryRun": "All"} if dry_run else {},
                body=encode(body),
                changes=not dry_run,
            )
        )

    async def patch(
        self,
        resource: Resource,
        name: str,
        namespace: str | None,
        patch: Patch,
        *,
        kind: PatchKind,
        **options: Unpack[WriteOptions],
    ) -> Json:
        """
        Change parts of one object and return the result.

        Raises Conflict when a `test` of a JSON patch fails, or a resourceVersion in a merge patch is no longer current.
        """
        tests = not isinstance(patch, Mapping) and any(operation.get("op") == "test" for operation in patch)
        path = resource.path(namespace, name, options.get("subresource"))
        return await self._write("PATCH", path, patch, options, content_type=kind.value, tests=tests)

    async def create(
        self,
        resource: Resource,
        namespace: str | None,
        body: Mapping[str, object],
        *,
        name: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> Json:
        """
        Create an object, or a subresource of the object `name` ("eviction"), and return it.

        Raises Conflict (reason AlreadyExists) when the name is taken; TooManyRequests (reason DisruptionBudget) when
        an eviction is not allowed now.
        """
        return await self._write("POST", resource.path(namespace, name, options.get("subresource")), body, options)

    async def replace(
        self,
        resource: Resource,
        name: str,
        namespace: str | None,
        body: Mapping[str, object],
        **options: Unpack[WriteOptions],
    ) -> Json:
        """Replace an object. Raises Conflict when `metadata.resourceVersion` in the body is no longer current."""
        path = resource.path(namespace, name, options.get("subresource"))
        return await self._write("PUT", path, body, options)

    async def can_i(
        self, verb: str, resource: Resource, namespace: str | None, *, subresource: str = "", name: str = ""
    ) -> bool:
        """Ask the server whether we may; `namespace` None asks for all namespaces."""
        attributes = {
            "verb": verb,
            "group": resource.group,
            "version": resource.version,
            "resource": resource.plural,
            "subresource": subresource,
            "name": name,
            "namespace": namespace or "",
        }
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": _present(attributes)},
        }
        answer = await self._json(Request(method="POST", path=_ACCESS_REVIEWS, body=encode(review)))
        status = answer.get("status")
        return isinstance(status, dict) and status.get("allowed") is True

    def logs(self, name: str, namespace: str, **options: Unpack[LogOptions]) -> AsyncGenerator[bytes, None]:
        """Yield the log of a pod's container in chunks as they come; see `LogOptions`. Close it when done early."""
        request = _log_request(PODS.path(namespace, name, "log"), options)
        return _read_log(self._transport, request, options, self._settings)

    async def execute(
        self, name: str, namespace: str, command: Sequence[str], **options: Unpack[ExecOptions]
    ) -> Executed:
        """
        Execute a command in a pod's container; see `ExecOptions`. Its words are passed as they are, to no shell.

        Raises OutcomeUnknown when it did not end within its deadline, or the connection was lost.
        """
        request = exec_request(PODS.path(namespace, name, "exec"), command, options)
        deadline = options.get("deadline") or self._settings.request_timeout
        try:
            async with asyncio.timeout(deadline.total_seconds()):
                return await execute(self._transport, request, options)
        except TimeoutError as error:
            raise unanswered(request, f"the command has not ended within {deadline.total_seconds():g} s") from error

    async def raw(self, path: str, *, within: timedelta) -> RawAnswer:
        """
        Ask once for any path, with its query, and return the answer of any status: /readyz is 500 where a check fails.

        Raises a KubeError for an answer that says nothing about the path (401, 403, 429), and for one above 1 MiB.
        """
        within = min(within, self._settings.request_timeout)
        return await self._transport.ask(Request(method="GET", path=path, accept="*/*"), total=within, longest=1 << 20)

    async def rules(self, namespace: str) -> Json:
        """Ask the server for all rights that we have in a namespace: the `status` of a SelfSubjectRulesReview."""
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": namespace},
        }
        answer = await self._json(Request(method="POST", path=_RULES_REVIEWS, body=encode(review)))
        status = answer.get("status")
        return status if isinstance(status, dict) else {}

    def stream(
        self, request: Request, *, silence: timedelta | None
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open a long answer, once; see `Transport.stream`."""
        return self._transport.stream(request, silence=silence)

    async def fetch(self, request: Request) -> bytes:
        """Send a request, again where that is safe, and return the answer's body."""
        return await persist(self._transport.send, request, self._settings.request_timeout)

    async def _write(
        self,
        method: str,
        path: str,
        body: object,
        options: WriteOptions,
        *,
        content_type: str = "application/json",
        tests: bool = False,
    ) -> Json:
        dry_run = options.get("dry_run", False)
        return await self._json(
            Request(
                method=method,
                path=path,
                params={"fieldManager": FIELD_MANAGER, **({"dryRun": "All"} if dry_run else {})},
                body=encode(body),
                content_type=content_type,
                changes=not dry_run,
                tests=tests,
            )
        )

    async def _json(self, request: Request) -> Json:
        body = await self.fetch(request)
        return await processed(len(body), partial(_named_object, request, body))


def encode(body: object) -> bytes:
    """
    Return the body as the API server itself writes JSON, with Go's encoding/json.

    The server compares a `test` of a JSON patch with its own text of the object: objects and lists by their parts, strings
    and numbers byte for byte. Go escapes the special characters of HTML and the two line separators of Unicode. A tested
    text must be spelled alike, or a template with `a && b` in it never passes (422).
    """
    written = orjson.dumps(body)
    for plain, escaped in _ESCAPED:
        written = written.replace(plain, escaped)
    return written


def _items(resource: Resource, request: Request, raw: Sequence[msgspec.Raw]) -> list[Json]:
    """Read the items of a page. Raises ServerUnavailable where one is no object."""
    identity: Json = {"apiVersion": resource.api_version, "kind": resource.kind}
    return [identity | without_managed_fields(_object(request, bytes(item))) for item in raw]


def _named_object(request: Request, body: bytes) -> Json:
    """Read an object that was asked for by its name. Raises as `_object` does, and KubeError where it has too many entries."""
    answer = _object(request, body)
    if not has_more(body, answer, MOST_IN_OBJECT):
        return answer
    why = f"the object has more than {MOST_IN_OBJECT:,} entries: an object of this size is not read, remove unneeded entries"
    raise unanswered(request, why) if request.changes else KubeError(f"{request}: {why}")


def _object(request: Request, body: bytes) -> Json:
    """Read one object. Raises ServerUnavailable, or OutcomeUnknown for a change, when the answer is not an object."""
    if is_too_deep(body, DEEPEST_ANSWER):
        raise unanswered(request, f"the answer is nested deeper than {DEEPEST_ANSWER} levels")
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise unanswered(request, f"the answer is not JSON: {error}") from error
    if not isinstance(answer, dict):
        raise unanswered(request, f"the answer is not an object but a {type(answer).__name__}")
    return answer


def _present(fields: Mapping[str, str | None]) -> dict[str, str]:
    return {key: value for key, value in fields.items() if value}


def _log_request(path: str, options: LogOptions) -> Request:
    """Return the request for a log: `path` is that of the pod's subresource."""
    since = options.get("since")
    tail = options.get("tail")
    params = {
        "container": options.get("container") or "",
        "sinceSeconds": "" if since is None else str(max(1, int(since.total_seconds()))),
        "tailLines": "" if tail is None else str(tail),
        "limitBytes": str(options.get("limit_bytes", _LOG_LIMIT_BYTES)),
        **{flag: "true" for flag in ("previous", "timestamps", "follow") if options.get(flag)},
    }
    return Request(method="GET", path=path, params=_present(params))


async def _read_log(
    transport: Transport, request: Request, options: LogOptions, settings: KubeSettings
) -> AsyncGenerator[bytes, None]:
    """Yield the log's chunks. Raises a KubeError when it cannot be read, or breaks off."""
    follow = options.get("follow", False)
    deadline = asyncio.get_running_loop().time() + (options.get("deadline") or settings.request_timeout).total_seconds()
    left = options.get("limit_bytes", _LOG_LIMIT_BYTES)
    async with AsyncExitStack() as stack:
        try:
            # Around single waits only: a deadline must not strike while the reader of the log is at work.
            async with asyncio.timeout_at(deadline):
                stream = transport.stream(request, silence=None if follow else settings.read_timeout)
                chunks = await stack.enter_async_context(stream)
            while left > 0:
                async with asyncio.timeout_at(deadline):
                    chunk = await anext(chunks, b"")
                if not chunk:
                    return
                yield chunk[:left]
                left -= len(chunk)
        except TimeoutError as error:
            if not follow:
                raise unanswered(request, "the log was not complete before its deadline") from error
