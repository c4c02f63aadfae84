"""TLS on the port of tokens: from files, read anew when they change, and a peer that never shakes hands harms nobody."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kintsugi.errors import UsageError
from kintsugi.ledger import Ledger
from kintsugi.server.ports import Certificate
from tests.harness.certificates import Authority, KeyPair
from tests.harness.waiting import eventually
from tests.integration.intake_server import PATIENT, WEBHOOK, Served, request, served
from tests.integration.operations_double import FakeOperations
from tests.unit.sources.webhooks import alert, webhook


class Files:
    """The two files that the port reads; a pair is put into both of them."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.authority = authority
        self.pair = KeyPair(certificate=folder / "tls.crt", key=folder / "tls.key")

    def put(self, name: str) -> None:
        """Have a new certificate for 127.0.0.1, as cert-manager renews one."""
        made = self.authority.server(name, "127.0.0.1")
        for source, target in ((made.certificate, self.pair.certificate), (made.key, self.pair.key)):
            beside = target.with_suffix(".new")
            beside.write_bytes(source.read_bytes())
            beside.replace(target)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    found = Files(tmp_path, Authority(tmp_path / "authority"))
    found.put("first")
    return found


@asynccontextmanager
async def secured(folder: Path, ledger: Ledger, files: Files, **more: Any) -> AsyncIterator[Served]:
    """Serve the port with TLS."""
    settings = replace(
        PATIENT,
        tls_certificate_file=files.pair.certificate,
        tls_key_file=files.pair.key,
        **more,
    )
    async with served(folder, ledger.signals, FakeOperations(), settings=settings) as port:
        yield port


def deliver(port: Served, files: Files) -> tuple[int, str]:
    """Deliver an alert over TLS; return the status and the name in the certificate that was shown."""
    trusting = ssl.create_default_context(cafile=str(files.authority.own.certificate))
    body = webhook(alert())
    with (
        socket.create_connection((port.host, port.port), 20) as plain,
        trusting.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
    ):
        shown = secure.getpeercert()
        assert shown is not None
        head = request({**WEBHOOK, "Connection": "close", "Content-Length": len(body)})
        secure.sendall(head + body)
        status = int(secure.makefile("rb").readline().split()[1])
    subject: Any = shown["subject"]
    names = {key: value for part in subject for key, value in part}
    return status, str(names["commonName"])


async def test_webhooks_are_taken_over_tls_and_not_in_the_clear(tmp_path: Path, ledger: Ledger, files: Files) -> None:
    """Tokens do not cross the network in the clear."""
    async with secured(tmp_path, ledger, files) as port:
        assert await asyncio.to_thread(deliver, port, files) == (200, "first")
        assert await asyncio.to_thread(in_the_clear, port) == b""
    assert await ledger.signals.pending() == 1


def in_the_clear(port: Served) -> bytes:
    """Deliver without TLS; return what is answered, nothing when the connection is closed."""
    with socket.create_connection((port.host, port.port), 20) as plain:
        plain.sendall(request({"Connection": "close", "Content-Length": 2}) + b"{}")
        try:
            return plain.recv(100)
        except ConnectionError:
            return b""


async def test_a_renewal_that_makes_no_sense_leaves_the_last_certificate_in_use(
    tmp_path: Path, ledger: Ledger, files: Files
) -> None:
    async with secured(tmp_path, ledger, files) as port:
        files.pair.certificate.write_text("half of a certif")
        assert await asyncio.to_thread(deliver, port, files) == (200, "first")
        files.pair.certificate.unlink()
        assert await asyncio.to_thread(deliver, port, files) == (200, "first")
        await asyncio.to_thread(files.put, "second")
        assert await asyncio.to_thread(deliver, port, files) == (200, "second")


async def test_peers_that_never_shake_hands_are_counted_and_closed(
    tmp_path: Path, ledger: Ledger, files: Files
) -> None:
    """Covers A15: a place is taken before the handshake, and given back when its time is over."""
    hasty = {"max_connections": 8, "header_timeout": timedelta(seconds=6)}
    async with secured(tmp_path, ledger, files, **hasty) as port:
        idle = [socket.create_connection((port.host, port.port), 20, source_address=("127.0.0.2", 0)) for _ in range(4)]
        fifth = socket.create_connection((port.host, port.port), 20, source_address=("127.0.0.2", 0))
        assert await asyncio.to_thread(closed, idle.pop(0)), "the longest idle one makes room"
        idle.append(fifth)
        assert (await asyncio.to_thread(deliver, port, files))[0] == 200
        for each in idle:
            assert await asyncio.to_thread(closed, each)
        again = socket.create_connection((port.host, port.port), 20, source_address=("127.0.0.2", 0))
        with closing(again):
            again.settimeout(0.5)
            with pytest.raises(TimeoutError):
                await asyncio.to_thread(again.recv, 1)


def closed(connection: socket.socket) -> bool:
    """Wait until the other side closes a connection."""
    with closing(connection):
        connection.settimeout(20)
        try:
            return connection.recv(1) == b""
        except ConnectionError:
            return True


async def test_a_key_of_another_certificate_is_told_at_the_start(files: Files, tmp_path: Path) -> None:
    other = files.authority.server("other", "127.0.0.1")
    with pytest.raises(UsageError, match="no certificate with its key, without a passphrase, in PEM"):
        Certificate(files.pair.certificate, other.key)
    with pytest.raises(UsageError, match=r"tlsCertificateFile: .*missing.*No such file"):
        Certificate(tmp_path / "missing", other.key)


async def test_connections_that_are_open_keep_their_certificate(tmp_path: Path, ledger: Ledger, files: Files) -> None:
    """One that is renewed costs no delivery that is under way."""
    async with secured(tmp_path, ledger, files) as port:
        trusting = ssl.create_default_context(cafile=str(files.authority.own.certificate))
        reader, writer = await asyncio.open_connection(port.host, port.port, ssl=trusting, server_hostname="127.0.0.1")
        body = webhook(alert())
        head = request({**WEBHOOK, "Connection": "close", "Content-Length": len(body)})
        writer.write(head + body[:10])
        await writer.drain()
        await asyncio.to_thread(files.put, "second")
        assert await asyncio.to_thread(deliver, port, files) == (200, "second")
        writer.write(body[10:])
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()

    async def taken() -> bool:
        return await ledger.signals.pending() == 1  # both are one episode

    await eventually(taken, within=20)
