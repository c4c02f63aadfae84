"""Whatever answers as a Prometheus: samples with numbers, or one ProbeFailed that names who was asked."""

from datetime import timedelta
from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.http import HttpClient
from kintsugi.clients.prometheus import MOST_SAMPLES, PrometheusClient
from kintsugi.errors import ProbeFailed
from kintsugi.runner.journal import storable
from kintsugi.verbs.instant_query import InstantQuery, read
from tests.unit.answers.mutations import FUZZ, written, wrong_bytes, wrong_json
from tests.unit.answers.wire import Answering, http_answer, refused_by_name

SOON = timedelta(seconds=20)
SERIES = {"metric": {"__name__": "up", "job": "web"}, "value": [1795881600.123, "1"]}
ANSWERS = (
    {"status": "success", "data": {"resultType": "vector", "result": [SERIES, {"metric": {}, "value": [1, "NaN"]}]}},
    {"status": "success", "data": {"resultType": "vector", "result": []}, "warnings": ["partial"], "infos": ["x"]},
    {"status": "success", "data": {"resultType": "scalar", "result": [1795881600, "0.25"]}},
    {"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}, "values": [[1, "2"]]}]}},
    {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "histogram": [1, {"count": "1"}]}]}},
    {"status": "error", "errorType": "bad_data", "error": "parse error"},
)  # fmt: skip


PAGES = st.one_of(
    st.one_of([wrong_json(answer) for answer in ANSWERS]).map(http_answer),
    wrong_bytes(http_answer(written(ANSWERS[0]))),
    wrong_json(ANSWERS[-1]).map(lambda body: http_answer(body, b"400 Bad Request")),
    st.just(http_answer(b"<html>no</html>", b"503 Service Unavailable")),
)


async def asked(server: Answering, page: bytes) -> dict[str, object]:
    """Return the names of what a server answers."""
    server.parts = [page]
    client = PrometheusClient(HttpClient(AddressRule(allow_loopback=True)))
    command = InstantQuery(server=f"http://127.0.0.1:{server.port}", query="up")
    return dict((await read(client, command, SOON)).names)


@FUZZ
@given(page=PAGES)
async def test_any_answer_as_prometheus_is_read_or_refused_by_name(server: Answering, page: bytes) -> None:
    """B16: what is let in has the types of the grammar, and can be kept."""
    with refused_by_name(f"127.0.0.1:{server.port}"):
        names = await asked(server, page)
        samples = names["samples"]
        assert isinstance(samples, list)
        assert len(samples) <= MOST_SAMPLES
        for sample in samples:
            assert all(
                isinstance(each, str) for each in (sample["text"], *sample["labels"], *sample["labels"].values())
            )
            assert "value" not in sample or isfinite(sample["value"])
        assert ("value" in names) <= (len(samples) == 1)
        storable(names)
    await server.silent()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (ANSWERS[3], "no range"),
        (ANSWERS[4], "histogram_quantile"),
        (ANSWERS[5], "bad_data: parse error"),
        ({**ANSWERS[0], "data": {"resultType": "vector", "result": [SERIES] * (MOST_SAMPLES + 1)}}, "1001 samples"),
        ({"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, "1_0"]}]}}, "is not a number"),
        ({"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, 7]}]}}, "no answer of"),
        ({"status": "success"}, "gives no number"),
        ({"found": 3}, "no answer of Prometheus"),
    ],
)  # fmt: skip
async def test_an_answer_that_is_no_number_for_each_series_is_refused(
    server: Answering, answer: object, why: str
) -> None:
    with pytest.raises(ProbeFailed, match=rf"^http://127\.0\.0\.1:\d+: .*{why}"):
        await asked(server, http_answer(written(answer)))


async def test_a_warning_of_prometheus_is_named(server: Answering) -> None:
    names = await asked(server, http_answer(written(ANSWERS[1])))
    assert names == {"samples": [], "warnings": ["partial"]}
