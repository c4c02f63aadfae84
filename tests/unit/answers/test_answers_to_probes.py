"""Whatever answers an HTTP, DNS, TCP or PostgreSQL probe: a result, or one refusal that names who was asked."""

import struct
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.actions.psql import answer
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import TcpClient
from kintsugi.clients.dns import DnsClient
from kintsugi.clients.http import HttpClient, HttpRequest, HttpResponse
from kintsugi.clients.postgres import PostgresClient, PostgresServer
from kintsugi.clients.postgres_connection import MOST_ROUNDS
from kintsugi.errors import ProbeFailed
from tests.unit.answers.mutations import FUZZ, written, wrong, wrong_bytes
from tests.unit.answers.wire import Answering, Replies, refused_by_name, replying

SOON = timedelta(seconds=20)
BRIEFLY = timedelta(seconds=0.3)
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
