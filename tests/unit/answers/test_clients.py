"""Whatever answers a client over HTTP, DNS, TCP, as PostgreSQL, Prometheus or S3: a result, or one refusal that names who was asked."""

import struct
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.actions.actions import Actions
from kintsugi.actions.psql import answer
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients, TcpClient
from kintsugi.clients.dns import DnsClient
from kintsugi.clients.http import HttpClient, HttpRequest, HttpResponse
from kintsugi.clients.postgres import PostgresClient, PostgresServer
from kintsugi.clients.postgres_connection import MOST_ROUNDS
from kintsugi.clients.prometheus import MOST_SAMPLES, PrometheusClient
from kintsugi.errors import ProbeFailed, StoreError
from kintsugi.runner.journal import storable
from kintsugi.verbs.instant_query import InstantQuery
from kintsugi_restore.s3 import S3Client, S3Service
from kintsugi_restore.s3_objects import S3Folder, StoredObject
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts
from tests.unit.answers.mutations import FUZZ, written, wrong, wrong_bytes, wrong_json
from tests.unit.answers.wire import Answering, Replies, http_answer, refused_by_name, replying

SOON = timedelta(seconds=20)
BRIEFLY = timedelta(seconds=0.1)
"""For examples in which each side waits for the other."""
LOOPBACK = AddressRule(allow_loopback=True)


@pytest.fixture
async def name_server() -> AsyncIterator[tuple[Replies, int]]:
    """A name server that says what an example holds."""
    async with replying() as made:
        yield made


PAGES = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 11\r\n\r\nall is well",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n5\r\nhello\r\n0\r\nX-End: 1\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: /elsewhere?a=1#b\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 503 Service Unavailable\r\nRetry-After: 5\r\nSet-Cookie: a=b\r\n\r\ndown",
    b'HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n{"status":"ok"}',
)


@FUZZ
@given(page=st.one_of([wrong_bytes(page) for page in PAGES]), follow=st.booleans())
async def test_any_answer_over_http_is_read_or_refused_by_name(server: Answering, page: bytes, *, follow: bool) -> None:
    """B16."""
    server.parts = [page]
    url = f"http://127.0.0.1:{server.port}/health"
    with refused_by_name(f"127.0.0.1:{server.port}"):
        response = await HttpClient(LOOPBACK).ask(HttpRequest(url=url, follow=follow), within=SOON)
        assert isinstance(response, HttpResponse)
        response.body.encode()
    await server.silent()


NAME = b"\x03web\x0aproduction\x00"
QUESTION = struct.pack("!6H", 0, 0x8180, 1, 2, 0, 0) + NAME + struct.pack("!2H", 1, 1)
REPLIES = (
    QUESTION
    + b"\xc0\x0c"
    + struct.pack("!2HIH", 5, 1, 60, 6)
    + b"\x03api\xc0\x10"
    + b"\xc0\x0c"
    + struct.pack("!2HIH4B", 1, 1, 60, 4, 10, 0, 0, 7),
    QUESTION + b"\xc0\x0c" + struct.pack("!2HIH", 28, 1, 60, 16) + bytes(15) + b"\x01",
)


@FUZZ
@given(reply=st.one_of([wrong_bytes(reply) for reply in REPLIES]))
async def test_any_answer_over_dns_is_read_or_refused_by_name(name_server: tuple[Replies, int], reply: bytes) -> None:
    """B16."""
    replies, port = name_server
    replies.reply = reply
    with refused_by_name("web.production"):
        assert await DnsClient(AddressRule(allow_loopback=True), port).resolve(
            "web.production", server="127.0.0.1", within=SOON
        )


@FUZZ
@given(words=st.binary(max_size=64), parts=st.lists(st.binary(max_size=64), max_size=2))
async def test_any_answer_over_tcp_is_read_or_refused_by_name(
    server: Answering, words: bytes, parts: Sequence[bytes]
) -> None:
    """B16."""
    server.first, server.parts = words, parts
    assert await TcpClient(LOOPBACK).opens("127.0.0.1", server.port, within=SOON) == ""
    await server.silent()


def message(kind: bytes, content: bytes = b"") -> bytes:
    """Write a message of PostgreSQL's protocol."""
    return kind + struct.pack("!I", len(content) + 4) + content


# As PostgreSQL 16 answers this very client: the greeting, the transaction begun, the statement prepared, its row.
WELCOME = b"".join(
    message(b"S", name + b"\0" + value + b"\0")
    for name, value in (
        (b"in_hot_standby", b"off"),
        (b"integer_datetimes", b"on"),
        (b"TimeZone", b"UTC"),
        (b"scram_iterations", b"4096"),
        (b"client_encoding", b"UTF8"),
        (b"server_version", b"16.14"),
    )
) + message(b"K", struct.pack("!2I", 28695, 2410440026))
WELCOME += message(b"Z", b"I")
FINE = message(b"R", struct.pack("!I", 0))
ROW = b'[{"one":1}]'
BEGUN = message(b"C", b"BEGIN\0") + message(b"Z", b"T")
PREPARED = (
    message(b"1")
    + message(b"t", struct.pack("!H", 0))
    + message(b"T", struct.pack("!H", 1) + b"coalesce\0" + struct.pack("!IHIhiH", 0, 0, 25, -1, -1, 0))
)
ANSWERED = (
    message(b"1")
    + message(b"2")
    + message(b"D", struct.pack("!HI", 1, len(ROW)) + ROW)
    + message(b"s")
    + message(b"Z", b"T")
)
NO = message(b"E", b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0")
SASL = message(b"R", struct.pack("!I", 10) + b"SCRAM-SHA-256\0\0")


def nonce(rounds: int) -> bytes:
    """Write the server's part of SCRAM, which says how often the client has to hash."""
    return message(b"R", struct.pack("!I", 11) + b"r=abc,s=c2FsdA==,i=%d" % rounds)


TALKS: Sequence[Sequence[bytes]] = (
    (FINE + WELCOME, BEGUN, PREPARED, ANSWERED),
    (message(b"R", struct.pack("!I", 3)), FINE + WELCOME, BEGUN, PREPARED, ANSWERED),
    (message(b"R", struct.pack("!I", 5) + b"salt"), FINE + WELCOME, BEGUN, PREPARED, ANSWERED),
    (SASL, nonce(4096), message(b"R", struct.pack("!I", 12) + b"v=c2ln")),
    (FINE + WELCOME, NO, message(b"Z", b"I")),
    (FINE + WELCOME, BEGUN, NO, message(b"Z", b"E")),
    (NO,),
)


def wrong_talk(talk: Sequence[bytes]) -> st.SearchStrategy[Sequence[bytes]]:
    """Return a talk in which one answer is wrong."""
    return st.integers(0, len(talk) - 1).flatmap(
        lambda at: wrong_bytes(talk[at]).map(lambda part: [*talk[:at], part, *talk[at + 1 :]])
    )


async def ask(server: Answering, sslmode: str = "disable", within: timedelta = BRIEFLY) -> str:
    """Ask the server for a text."""
    where = PostgresServer(host="127.0.0.1", port=server.port, user="monitor", sslmode=sslmode, password="secret")
    return await PostgresClient(LOOPBACK).ask("SELECT 1", where, within=within)


async def test_a_talk_as_it_should_be_gives_the_answer(server: Answering) -> None:
    for talk in TALKS[:3]:
        server.parts = talk
        assert await ask(server, within=SOON) == ROW.decode()


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        (
            (SASL, nonce(2**31 - 1)),
            r"^127\.0\.0\.1:\d+: the server asks for 2147483647 rounds of SCRAM, and 32768 are the most",
        ),
        ((SASL, nonce(MOST_ROUNDS + 1)), f"asks for {MOST_ROUNDS + 1} rounds"),
        (
            (SASL, message(b"R", struct.pack("!I", 11) + b"r=abc,s=c2FsdA==,i=" + b"9" * 5000)),
            "asks for 999999999999… rounds",
        ),
        ((b"\0" + FINE,), "it does not speak PostgreSQL's protocol"),
        ((FINE + WELCOME, b"S\x7f\xff\xff\xff", b"x" * 1_000_000), "it does not speak PostgreSQL's protocol"),
        ((FINE + WELCOME, message(b"S", b"a\0b\0") * 1_000_000), "more than 1000 messages"),
        ((FINE + WELCOME, message(b"S", b"a\0" + b"b" * 1_000_000 + b"\0") * 5), "more than 4 MiB"),
        ((b"HTTP/1.1 400 Bad Request\r\n\r\n",), "it does not speak PostgreSQL's protocol"),
    ],
    ids=["rounds", "a round too many", "digits", "kind 0", "2 GiB", "endless", "large", "another protocol"],
)
async def test_a_server_that_would_keep_the_daemon_busy_is_hung_up_on(
    server: Answering, parts: Sequence[bytes], why: str
) -> None:
    """B16: asyncpg alone goes round for ever, or takes what memory there is; nothing else runs meanwhile."""
    server.parts = parts
    with pytest.raises(ProbeFailed, match=why):
        await ask(server, within=SOON)


async def test_a_greeting_that_ends_the_client_leaves_no_connection_open(server: Answering) -> None:
    """B16: a service that greets like this whenever it is asked would use up the daemon's file descriptors."""
    server.parts = (FINE + WELCOME.replace(b"server_version", b"server_ver\0ion"),)
    with pytest.raises(ProbeFailed):
        await ask(server, within=SOON)
    await server.silent()


@FUZZ
@given(talk=st.one_of([wrong_talk(talk) for talk in TALKS]), tls=st.booleans())
async def test_any_answer_as_postgresql_is_read_or_refused_by_name(
    server: Answering, talk: Sequence[bytes], *, tls: bool
) -> None:
    """B16."""
    server.parts = [b"N", *talk] if tls else talk
    with refused_by_name(f"127.0.0.1:{server.port}"):
        assert isinstance(await ask(server, "prefer" if tls else "disable"), str)
    await server.silent()


ROWS: tuple[list[dict[str, object]], ...] = (
    [{"one": 1, "two": "x", "three": None}],
    [],
    [{"deep": {"a": [1, 2, {"b": 2.5}]}}, {"deep": 3}],
)
PRINTED = (
    "[1]",
    "[[1]]",
    "[" * 5000,
    "[" * 300 + "]" * 300,
    "null",
    "{}",
    '{"a":1}',
    "[null]",
    "",
    "[{}]",
    "[[]]",
    "NaN",
)


@FUZZ
@given(
    printed=st.one_of(
        st.sampled_from(PRINTED),
        st.one_of([wrong(rows) for rows in ROWS]).map(written).map(lambda text: text.decode(errors="replace")),
        st.one_of([wrong_bytes(written(rows)) for rows in ROWS]).map(lambda text: text.decode(errors="replace")),
        st.text(max_size=30),
    )
)
def test_any_output_as_psql_is_read_or_refused_by_name(printed: str) -> None:
    """B16."""
    with refused_by_name("database-0/postgres"):
        assert isinstance(answer(printed, "database-0/postgres").names["rows"], list)


SERIES = {"metric": {"__name__": "up", "job": "web"}, "value": [1795881600.123, "1"]}
SERIES_ANSWERS = (
    {"status": "success", "data": {"resultType": "vector", "result": [SERIES, {"metric": {}, "value": [1, "NaN"]}]}},
    {"status": "success", "data": {"resultType": "vector", "result": []}, "warnings": ["partial"], "infos": ["x"]},
    {"status": "success", "data": {"resultType": "scalar", "result": [1795881600, "0.25"]}},
    {"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}, "values": [[1, "2"]]}]}},
    {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "histogram": [1, {"count": "1"}]}]}},
    {"status": "error", "errorType": "bad_data", "error": "parse error"},
)  # fmt: skip


SERIES_PAGES = st.one_of(
    st.one_of([wrong_json(answer) for answer in SERIES_ANSWERS]).map(http_answer),
    wrong_bytes(http_answer(written(SERIES_ANSWERS[0]))),
    wrong_json(SERIES_ANSWERS[-1]).map(lambda body: http_answer(body, b"400 Bad Request")),
    st.just(http_answer(b"<html>no</html>", b"503 Service Unavailable")),
)


async def asked(server: Answering, page: bytes) -> dict[str, object]:
    """Return the names of what a server answers."""
    server.parts = [page]
    client = PrometheusClient(HttpClient(AddressRule(allow_loopback=True)))
    command = InstantQuery(server=f"http://127.0.0.1:{server.port}", query="up")
    actions = Actions(ClusterOfDicts(), replace(Clients.restricted_to(LOOPBACK), prometheus=client))
    return dict((await actions.read(command, deadline=SOON)).names)


@FUZZ
@given(page=SERIES_PAGES)
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
        (SERIES_ANSWERS[3], "no range"),
        (SERIES_ANSWERS[4], "histogram_quantile"),
        (SERIES_ANSWERS[5], "bad_data: parse error"),
        ({**SERIES_ANSWERS[0], "data": {"resultType": "vector", "result": [SERIES] * (MOST_SAMPLES + 1)}}, "1001 samples"),
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
    names = await asked(server, http_answer(written(SERIES_ANSWERS[1])))
    assert names == {"samples": [], "warnings": ["partial"]}


FOLDER = S3Folder(bucket="backups", prefix="database/")
LISTED = b"""<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>backups</Name><Prefix>database/</Prefix>
<KeyCount>1</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated><Contents><Key>database/a.dump</Key>
<LastModified>2026-11-26T02:00:00.000Z</LastModified><ETag>&quot;abc&quot;</ETag><Size>1024</Size>
<StorageClass>STANDARD</StorageClass></Contents></ListBucketResult>"""
DENIED = b"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>AccessDenied</Code><Message>Access Denied</Message><RequestId>1</RequestId></Error>"""


S3_OBJECT = http_answer(
    b"PGDMP",
    b"206 Partial Content",
    b'ETag: "abc"\r\nLast-Modified: Thu, 26 Nov 2026 02:00:00 GMT\r\nContent-Range: bytes 0-4/1024\r\n'
    b"x-amz-meta-sha256: 00\r\n",
)
STORED = StoredObject(key="database/a.dump", size=1024, modified=datetime(2026, 11, 26, 2, tzinfo=UTC), etag="abc")


@pytest.fixture(scope="module")
def credentials() -> Iterator[None]:
    """Have credentials, and nothing else of this machine's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "KEY")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


@pytest.fixture
async def s3_client(server: Answering, credentials: None) -> AsyncIterator[S3Client]:
    """What asks the server; making one takes longer than asking."""
    endpoint = f"http://127.0.0.1:{server.port}"
    made = S3Client(S3Service(endpoint=endpoint, region="eu-central-1", connect=5, silence=0.2, attempts=1))
    yield made
    made._boto().close()


@contextmanager
def refused_by_place() -> Iterator[None]:
    """Let the body refuse, as long as it names the place."""
    try:
        yield
    except StoreError as error:
        if "s3://backups/database/" not in str(error):
            raise AssertionError(f"the place is not named: {error}") from error


@FUZZ
@given(
    page=st.one_of(
        [
            wrong_bytes(page)
            for page in (http_answer(LISTED), http_answer(DENIED, b"403 Forbidden"), http_answer(b""), S3_OBJECT)
        ]
    )
)
async def test_any_answer_of_s3_is_read_or_ends_the_worker_by_name(
    server: Answering, s3_client: S3Client, page: bytes
) -> None:
    """B16: the worker says what is wrong, and ends as it should."""
    server.parts = [page]
    with refused_by_place():
        assert all(each.size >= 0 for each in await s3_client.list(FOLDER))
    with refused_by_place():
        assert (await s3_client.head(FOLDER, STORED, first=5)).stored.key == STORED.key
    with refused_by_place():
        await s3_client.uploads(FOLDER)
    with refused_by_place():
        async with s3_client.body(FOLDER, STORED) as body:
            await body.copy(lambda _: None)
