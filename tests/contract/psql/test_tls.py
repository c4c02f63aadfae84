"""
A question to a real PostgreSQL that has TLS: as far as the mode says, the certificate is checked before the password goes.

E4: the server's own word is what counts, `pg_stat_ssl`. The programs that come with the tests' packages have no TLS, so the
server is Debian's.
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from kintsugi.actions.probe import ProbeContext
from kintsugi.commands import parse
from kintsugi.errors import ProbeFailed
from kintsugi.model.services import SecretRef
from kubeobjects.resources import SECRETS
from tests.harness.certificates import Authority
from tests.harness.fixtures import scratch
from tests.harness.postgres import Postgres
from tests.harness.postgres_programs import PostgresPrograms
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts, actions_on

SOON = timedelta(seconds=10)
PASSWORD = "correct-horse-battery"
SECRET: dict[str, object] = {
    "metadata": {"name": "database-credentials", "namespace": "production"},
    "data": {"password": base64.b64encode(PASSWORD.encode()).decode()},
}
ASKER = ProbeContext(
    namespace="production", env={"PGPASSWORD": SecretRef(secret="database-credentials", key="password")}
)
SESSION = (
    "SELECT ssl, current_setting('transaction_read_only') AS reads, current_setting('statement_timeout') AS within"
    " FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SecuredServer:
    """A server with a certificate for `localhost`, who has signed it, and another authority, who has not."""

    server: Postgres
    authority: Path
    stranger: Path


@pytest.fixture(scope="module")
def debian_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredServer]:
    """Run Debian's server, whose user `monitor` has a password and is taken over TLS only."""
    try:
        PostgresPrograms.of_debian()
    except LookupError as missing:
        pytest.skip(str(missing))
    signer, stranger = (Authority(tmp_path_factory.mktemp(name)) for name in ("signer", "stranger"))
    with scratch("tls-") as folder:
        server = Postgres.prepare(folder, tls=signer.server("localhost", "localhost"))
        server.start()
        server.psql(f"CREATE ROLE monitor LOGIN PASSWORD '{PASSWORD}'")
        yield SecuredServer(server=server, authority=signer.own.certificate, stranger=stranger.own.certificate)
        server.stop()


async def ask(
    server: Postgres, connection: str, *, host: str = "localhost", probe_context: ProbeContext = ASKER
) -> object:
    """Ask how the session is, and return its row."""
    actions = actions_on(ClusterOfDicts((SECRETS, SECRET)))
    line = f"psql -h {host} -p {server.port} -U monitor -d 'dbname=postgres {connection}' -c \"{SESSION}\""
    names = (await actions.read(parse(line), deadline=SOON, probe_context=probe_context)).names
    return names["rows"]


@pytest.mark.parametrize("connection", ["", "sslmode=require", "sslmode=require {root}", "sslmode=verify-full {root}"])
async def test_a_question_goes_over_tls_and_its_session_only_reads_and_ends_in_time(
    debian_postgres: SecuredServer, connection: str
) -> None:
    """The password is the Secret's; where nothing is said of TLS it is used all the same."""
    root = f"sslrootcert={debian_postgres.authority}"
    rows = await ask(debian_postgres.server, connection.format(root=root))
    assert rows == [{"ssl": True, "reads": "on", "within": "10s"}]


async def test_the_password_of_a_file_is_given_over_tls_too(debian_postgres: SecuredServer, tmp_path: Path) -> None:
    file = tmp_path / "passwords"
    file.write_text(f"localhost:*:postgres:monitor:{PASSWORD}\n")
    rows = await ask(debian_postgres.server, f"sslmode=require passfile={file}", probe_context=ProbeContext())
    assert rows == [{"ssl": True, "reads": "on", "within": "10s"}]


@pytest.mark.parametrize(
    ("mode", "trusted", "host", "why"),
    [
        ("verify-full", "stranger", "localhost", "certificate verify failed"),
        ("require", "stranger", "localhost", "certificate verify failed"),
        ("verify-full", "authority", "127.0.0.1", "certificate is not valid for '127.0.0.1'"),
        ("disable", "authority", "localhost", "no encryption"),
    ],
)
async def test_a_connection_that_is_not_what_the_mode_asks_for_says_why(
    debian_postgres: SecuredServer, mode: str, trusted: str, host: str, why: str
) -> None:
    """Another authority's certificate, another name's, and a server that insists on TLS."""
    root = getattr(debian_postgres, trusted)
    with pytest.raises(ProbeFailed, match=f"{host}:{debian_postgres.server.port}: .*{why}"):
        await ask(debian_postgres.server, f"sslmode={mode} sslrootcert={root}", host=host)
