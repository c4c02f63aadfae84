"""What a PostgreSQL server is asked and answers, and the exchange of its password, which ends (B16)."""

import asyncio
import base64
import re
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from kintsugi.actions.probe import ProbeContext
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.postgres import PostgresClient, PostgresServer
from kintsugi.clients.postgres_connection import MOST_ROUNDS
from kintsugi.commands import parse
from kintsugi.errors import NotFound, ProbeFailed
from kintsugi.mask import MASK
from kintsugi.model.services import SecretRef
from kintsugi.telemetry import SECRETS
from kubeobjects.resources import SECRETS as KIND
from tests.harness.certificates import Authority
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts, actions_on

SOON = timedelta(seconds=5)
PASSWORD = "correct-horse-battery"
ENV = {"PGPASSWORD": SecretRef(secret="database-credentials", key="password")}
_SSL_REQUEST = 80877103


@dataclass
class Listener:
    """A PostgreSQL server as far as it says hello: TLS if it has a certificate, then it asks for the password, then no."""

    port: int = 0
    context: ssl.SSLContext | None = None
    passwords: list[str] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    secure: bool = False

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one connection to where the password is known."""
        try:
            await self._talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # the other side did not like our certificate
        finally:
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        startup = await self._message(reader)
        if struct.unpack("!I", startup[:4])[0] == _SSL_REQUEST:
            writer.write(b"S" if self.context else b"N")
            await writer.drain()
            if self.context:
                await writer.start_tls(self.context)
                self.secure = True
            startup = await self._message(reader)
        words = startup[4:].rstrip(b"\0").decode().split("\0")
        self.settings = dict(zip(words[::2], words[1::2], strict=True))
        writer.write(b"R" + struct.pack("!II", 8, 3))
        await writer.drain()
        await reader.readexactly(1)
        self.passwords.append((await self._message(reader)).rstrip(b"\0").decode())
        no = b"SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed\0\0"
        writer.write(b"E" + struct.pack("!I", len(no) + 4) + no)
        await writer.drain()

    async def _message(self, reader: asyncio.StreamReader) -> bytes:
        (size,) = struct.unpack("!I", await reader.readexactly(4))
        return await reader.readexactly(size - 4)


@asynccontextmanager
async def listening(context: ssl.SSLContext | None = None) -> AsyncIterator[Listener]:
    """Listen on a port of this machine."""
    listener = Listener(context=context)
    server = await asyncio.start_server(listener.talk, "127.0.0.1", 0)
    listener.port = server.sockets[0].getsockname()[1]
    try:
        yield listener
    finally:
        server.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that has signed certificates for two names."""
    return Authority(tmp_path_factory.mktemp("authority"))


def serving(authority: Authority, name: str) -> ssl.SSLContext:
    """Serve with a certificate for a name."""
    pair = authority.server(name, name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    return context


def secret(**values: str) -> dict[str, object]:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {"metadata": {"name": "database-credentials", "namespace": "production"}, "data": data}


CLUSTER = ClusterOfDicts((KIND, secret(password=PASSWORD)))
ASKER = ProbeContext(namespace="production", env=ENV)


async def ask(
    listener: Listener, connection: str = "", cluster: ClusterOfDicts = CLUSTER, asker: ProbeContext = ASKER
) -> str:
    """Ask the listener, and give why there is no answer."""
    target = f"-d '{connection}'" if connection else ""
    command = parse(f"psql -h localhost -p {listener.port} -U monitor {target} -c 'SELECT 1'")
    with pytest.raises(ProbeFailed) as failed:
        await actions_on(cluster).read(command, deadline=SOON, probe_context=asker)
    return str(failed.value)


async def test_the_password_is_read_from_the_secret_when_it_is_needed_and_masked_from_then_on() -> None:
    """E4: it turns up in no log."""
    async with listening() as listener:
        why = await ask(listener)
    assert listener.passwords == [PASSWORD]
    assert "password authentication failed" in why
    assert PASSWORD not in SECRETS.text(f"the password is {PASSWORD}")
    assert MASK in SECRETS.text(base64.b64encode(PASSWORD.encode()).decode())


async def test_a_password_of_a_file_comes_first_and_its_line_is_the_server_s(tmp_path: Path) -> None:
    file = tmp_path / "passwords"
    file.write_text("other:*:*:*:wrong\nlocalhost:*:app:monitor:of\\:a\\:file\n*:*:*:*:any\n")
    async with listening() as listener:
        await ask(listener, f"dbname=app passfile={file}", ClusterOfDicts())
        await ask(listener, f"passfile={file}", ClusterOfDicts())
        file.write_text("other:*:*:*:wrong\n")
        assert "has no line for monitor at localhost" in await ask(listener, f"passfile={file}", ClusterOfDicts())
    assert listener.passwords == ["of:a:file", "any"]


async def test_a_secret_that_is_not_there_is_no_answer() -> None:
    actions = actions_on(ClusterOfDicts((KIND, secret(username="postgres"))))
    command = parse("psql -h localhost -U monitor -c 'SELECT 1'")
    with pytest.raises(NotFound, match="has no key 'password'"):
        await actions.read(command, deadline=SOON, probe_context=ASKER)


async def test_no_setting_of_a_connection_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon's own variables may name the ledger's password."""
    monkeypatch.setenv("PGPASSWORD", "of-the-ledger")
    monkeypatch.setenv("PGSSLMODE", "require")
    async with listening() as listener:
        await ask(listener, asker=ProbeContext())
    assert listener.passwords == [""]


async def test_the_session_only_reads_and_ends_in_time() -> None:
    async with listening() as listener:
        await ask(listener, "dbname=app sslmode=disable")
    assert listener.settings["default_transaction_read_only"] == "on"
    assert listener.settings["statement_timeout"] == "5000"
    assert (listener.settings["user"], listener.settings["database"]) == ("monitor", "app")


@pytest.mark.parametrize(
    ("mode", "name", "trusted", "why"),
    [
        ("prefer", "elsewhere", False, "password authentication failed"),
        ("require", "elsewhere", False, "password authentication failed"),
        ("require", "elsewhere", True, "password authentication failed"),
        ("verify-full", "localhost", True, "password authentication failed"),
        ("verify-full", "elsewhere", True, "Hostname mismatch|doesn't match"),
        ("verify-full", "localhost", False, "certificate verify failed"),
    ],
)
async def test_a_certificate_is_checked_as_far_as_the_mode_says(
    authority: Authority, mode: str, name: str, trusted: bool, why: str
) -> None:
    """The connection goes to an address, the certificate is for the name that was asked for."""
    root = f" sslrootcert={authority.own.certificate}" if trusted else ""
    async with listening(serving(authority, name)) as listener:
        told = await ask(listener, f"dbname=app sslmode={mode}{root}")
    assert any(words in told for words in why.split("|")), told
    assert bool(listener.passwords) is ("password" in why)
    assert listener.secure or "password" not in why


@pytest.mark.parametrize("mode", ["require", "verify-full"])
async def test_a_server_without_tls_is_not_given_the_password(mode: str) -> None:
    async with listening() as listener:
        told = await ask(listener, f"dbname=app sslmode={mode}")
    assert "SSL" in told
    assert listener.passwords == []


WITHIN = timedelta(seconds=20)


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


async def exchange(port: int) -> str:
    where = PostgresServer(host="127.0.0.1", port=port, user="monitor", sslmode="disable", password="secret")
    return await PostgresClient(AddressRule(allow_loopback=True)).ask("SELECT 1", where, within=WITHIN)


@pytest.mark.parametrize(
    ("rounds", "counted", "sent"),
    [
        (MOST_ROUNDS // 4, 5 * MOST_ROUNDS // 4, 4),
        (MOST_ROUNDS, 2 * MOST_ROUNDS, 1),
        (MOST_ROUNDS + 1, MOST_ROUNDS + 1, 0),
    ],
)
async def test_a_server_gets_proofs_up_to_a_limit_of_rounds_at_once_or_bit_by_bit(
    rounds: int, counted: int, sent: int
) -> None:
    """Either costs the event loop the same."""
    async with asking(rounds) as (port, proofs):
        said = f"asks for {counted} rounds of SCRAM, and {MOST_ROUNDS} are the most: set scram_iterations"
        with pytest.raises(ProbeFailed, match=f"127.0.0.1:{port}: the server {said}"):
            await exchange(port)
        assert len(proofs) == sent
