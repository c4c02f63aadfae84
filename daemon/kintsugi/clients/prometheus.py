"""
Evaluates an expression in a Prometheus now, by its HTTP API.

The answer is untrusted: it is read by its types, and an answer that is not as the API describes it is refused here.
"""

import math
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal
from urllib.parse import quote

import msgspec

from kintsugi.clients.http import HttpClient, HttpRequest, HttpResponse
from kintsugi.errors import ProbeFailed
from kintsugi.json_limits import MOST_IN_ANSWER, max_entries
from kintsugi.telemetry import in_words, refused_as

MOST_SAMPLES = 1000
"""The most samples of an answer; a longer one is refused, since a reader would miss some."""

MOST_WARNINGS = 10
_LONGEST = 500
"""Characters of a warning or an error."""

_NUMBER = re.compile(r"[+-]?(?:Inf|[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]{1,3})?)|NaN")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One sample. `text` is its number as Prometheus writes it, `value` that number; None where it is NaN or an infinity."""

    labels: dict[str, str]
    text: str
    value: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class QueryAnswer:
    """The samples of one moment; `warnings` say what Prometheus itself doubts about them."""

    samples: tuple[Sample, ...]
    warnings: tuple[str, ...] = ()


class _Series(msgspec.Struct, frozen=True):
    value: tuple[float, str] | None = None
    metric: dict[str, str] = {}


class _Vector(msgspec.Struct, frozen=True, tag="vector", tag_field="resultType"):
    result: list[_Series]


class _Scalar(msgspec.Struct, frozen=True, tag="scalar", tag_field="resultType"):
    result: tuple[float, str]


class _Other(msgspec.Struct, frozen=True, tag="matrix", tag_field="resultType"):
    pass


class _Text(msgspec.Struct, frozen=True, tag="string", tag_field="resultType"):
    pass


class _Body(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["success", "error"]
    data: _Vector | _Scalar | _Other | _Text | None = None
    error: str = ""
    error_type: str = msgspec.field(default="", name="errorType")
    warnings: list[str] = []


class PrometheusClient:
    """Ask Prometheus servers, or whatever speaks their API."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http

    async def instant(self, server: str, query: str, *, within: timedelta) -> QueryAnswer:
        """
        Ask for the samples that an expression gives now.

        Raises Refused for a host that may not be asked, ProbeFailed when there is no answer, or none that can be relied on.
        """
        url = f"{server.rstrip('/')}/api/v1/query?query={quote(query, safe='')}"
        response = await self._http.ask(HttpRequest(url=url), within=within)
        if response.cut:
            raise ProbeFailed(f"{server}: the answer is longer than 1 MiB: ask for less, as with sum or topk")
        return _read(server, response)


def _read(server: str, response: HttpResponse) -> QueryAnswer:
    text = response.body.encode()
    if max_entries(text) > MOST_IN_ANSWER:
        raise ProbeFailed(f"{server}: the answer has too many labels or samples: ask for less, as with sum or topk")
    refusal = f"{server}: no answer of Prometheus ({response.status})"
    # A DecodeError, and a RecursionError or ValueError on what is nested too deep or a number beyond bounds.
    with refused_as(lambda error: ProbeFailed(f"{refusal}: {in_words(error)}")):
        body = msgspec.json.decode(text, type=_Body)
    if body.status == "error" or response.status != 200:
        raise ProbeFailed(f"{server}: {_short(body.error_type or str(response.status))}: {_short(body.error)}")
    return QueryAnswer(samples=_samples(server, body.data), warnings=tuple(map(_short, body.warnings[:MOST_WARNINGS])))


def _samples(server: str, data: _Vector | _Scalar | _Other | _Text | None) -> tuple[Sample, ...]:
    match data:
        case _Scalar(result=(_, text)):
            return (_sample(server, text, {}),)
        case _Vector(result=found) if len(found) > MOST_SAMPLES:
            raise ProbeFailed(
                f"{server}: {len(found)} samples are more than {MOST_SAMPLES}: let Prometheus aggregate them"
            )
        case _Vector(result=found):
            return tuple(_of_series(server, series) for series in found)
        case _:
            raise ProbeFailed(f"{server}: the expression gives no number for each series: no range, no text")


def _of_series(server: str, series: _Series) -> Sample:
    if series.value is None:
        raise ProbeFailed(f"{server}: a series is a histogram: ask for a number of it, as with histogram_quantile")
    return _sample(server, series.value[1], series.metric)


def _sample(server: str, text: str, labels: dict[str, str]) -> Sample:
    if len(text) > _LONGEST or not _NUMBER.fullmatch(text):
        raise ProbeFailed(f"{server}: {_short(text)!r} is not a number")
    number = float(text)
    return Sample(labels=labels, text=text, value=number if math.isfinite(number) else None)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
