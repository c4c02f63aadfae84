"""A PostgreSQL server has the client hash its password as often as it likes: up to a limit, over all that it asks. B16."""

import asyncio
import re
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.postgres import PostgresClient, PostgresServer
from kintsugi.clients.postgres_connection import MOST_ROUNDS
from kintsugi.errors import ProbeFailed

SOON = timedelta(seconds=20)


def authentication(kind: int, content: bytes) -> bytes:
    return b"R" + struct.pack("!2I", len(content) + 8, kind) + content


@asynccontextmanager
async def asking(rounds: int) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Ask each client for so many rounds again and again; give the port, and the proofs that were sent."""
    proofs: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readexactly(struct.unpack("!I", await reader.readexactly(4))[0] - 4)
            writer.write(authentication(10, b"SCRAM-SHA-256\0\0"))
            nonce = re.findall(rb"r=([^,]+)", await reader.read(1000))[0]
            while True:
                writer.write(authentication(11, b"r=%bx,s=c2FsdA==,i=%d" % (nonce, rounds)))
                if not (proof := await reader.read(1000)):
                    return
                proofs.append(proof)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # we were hung up on
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], proofs


async def ask(port: int) -> str:
    where = PostgresServer(host="127.0.0.1", port=port, user="monitor", sslmode="disable", password="secret")
    return await PostgresClient(AddressRule(allow_loopback=True)).ask("SELECT 1", where, within=SOON)


async def test_a_server_that_asks_again_and_again_is_hung_up_on_at_the_same_limit() -> None:
    """What it asks for at once and what it asks for bit by bit costs the event loop the same."""
    async with asking(MOST_ROUNDS // 4) as (port, proofs):
        with pytest.raises(ProbeFailed, match=f"127.0.0.1:{port}: the server asks for {5 * MOST_ROUNDS // 4} rounds"):
            await ask(port)
        assert len(proofs) == 4


async def test_a_server_that_asks_for_more_than_the_limit_gets_no_proof() -> None:
    async with asking(MOST_ROUNDS + 1) as (port, proofs):
        with pytest.raises(ProbeFailed, match=f"rounds of SCRAM, and {MOST_ROUNDS} are the most: set scram_iterations"):
            await ask(port)
        assert proofs == []


async def test_a_server_that_asks_for_as_much_as_the_limit_gets_one() -> None:
    async with asking(MOST_ROUNDS) as (port, proofs):
        with pytest.raises(ProbeFailed, match=f"asks for {2 * MOST_ROUNDS} rounds"):
            await ask(port)
        assert len(proofs) == 1
