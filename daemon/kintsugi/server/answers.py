"""Answers over HTTP: values as JSON, errors as `{"error": …}` with the status that fits them."""

from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from kintsugi.errors import (
    CatalogMismatch,
    KintsugiError,
    KubeError,
    LedgerUnavailable,
    NotRecorded,
    ProbeFailed,
    Refused,
    UsageError,
    WrongState,
)
from kintsugi.offload import searched
from kintsugi.server.responses import ErrorResponse
from kintsugi.telemetry import SECRETS

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_ENCODER = msgspec.json.Encoder()

_STATUSES: tuple[tuple[type[KintsugiError], int], ...] = (
    (CatalogMismatch, 422),
    (UsageError, 400),
    (NotRecorded, 404),
    (WrongState, 409),
    (Refused, 409),
    (LedgerUnavailable, 503),
    (KubeError, 502),
    (ProbeFailed, 502),
)


async def answer(value: object, status: int = 200) -> web.Response:
    """Write a value (records, enums, times and all) as JSON, without secrets: labels that rules read are stored with theirs."""
    plain = msgspec.to_builtins(value, str_keys=True)
    return _response(await searched(len(_ENCODER.encode(plain)), lambda: _written(plain)), status)


def short_answer(value: object, status: int = 200) -> web.Response:
    """Write a value of ours that holds no foreign text to speak of as JSON, without secrets."""
    return _response(_written(msgspec.to_builtins(value, str_keys=True)), status)


def _written(plain: object) -> bytes:
    return _ENCODER.encode(SECRETS.value(plain))


def _response(body: bytes, status: int) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json")


def refusal(status: int, text: str) -> web.Response:
    """Write an error, without secrets."""
    response = short_answer(ErrorResponse(error=SECRETS.text(text)), status)
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def failure(error: KintsugiError) -> web.Response:
    """Write an error of ours with its status."""
    return refusal(status_of(error), str(error))


def status_of(error: KintsugiError) -> int:
    """Return the status of an error of ours."""
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)


@web.middleware
async def in_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer in our own form what the router has no handler for."""
    try:
        return await handler(request)
    except web.HTTPNotFound:
        return refusal(404, "there is no such route: /openapi.json lists them all")
    except web.HTTPMethodNotAllowed as error:
        response = refusal(405, f"this route takes {', '.join(sorted(error.allowed_methods))}")
        response.headers["Allow"] = error.headers["Allow"]
        return response
