"""A real server with a live database on it, real dumps of another server's shop, and the worker as a process."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from kintsugi.model.restores import Restored
from kintsugi_restore.worker.__main__ import main
from kintsugi_restore.worker_log import Note, WorkLine, decode, is_last
from kintsugi_restore.worker_results import Failed, WorkFailure, WorkProgress, owner_of
from tests.harness import forked
from tests.harness.fixtures import scratch
from tests.harness.forked import ProcessStart
from tests.harness.postgres import Postgres
from tests.harness.waiting import HopelessError, wait_for

OPERATOR = "operator"
PASSWORD = "an operator's: 'quoted' \\ and \"more\""
TIMEOUT = 180.0
"""Seconds that one restore of a small dump may take on a busy machine."""

NO_EXTENSIONS: Mapping[str, str] = {}

# A row's check and an index that take as long as the session's own setting says: a restore that can be caught midway.
_SLOWLY = """
CREATE FUNCTION public.slowly(i int, at text) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    PERFORM pg_sleep(coalesce(nullif(current_setting('stage.' || at, true), ''), '0')::float8);
    RETURN i;
END $$
"""
_SHOP = (
    "CREATE EXTENSION vector",
    "CREATE SCHEMA shop",
    "CREATE TYPE shop.state AS ENUM ('new', 'paid', 'sent')",
    "CREATE DOMAIN shop.amount AS numeric CHECK (VALUE >= 0)",
    (
        "CREATE TABLE public.orders (id bigserial PRIMARY KEY, state shop.state NOT NULL, amount shop.amount,"
        " double numeric GENERATED ALWAYS AS (amount * 2) STORED, near vector(3), note text UNIQUE)"
    ),
    "CREATE TABLE shop.items (id int GENERATED ALWAYS AS IDENTITY, order_id bigint REFERENCES public.orders)",
    "CREATE TABLE shop.visits (at date, who text) PARTITION BY RANGE (at)",
    "CREATE TABLE shop.visits_25 PARTITION OF shop.visits FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')",
    "CREATE TABLE shop.visits_26 PARTITION OF shop.visits FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
    'CREATE TABLE shop."odd ""name" ("a column" text)',
    (
        "INSERT INTO public.orders (state, amount, near, note) SELECT 'paid', i, '[1,2,3]', md5(i::text) || E'\\n\\t\\\\'"
        " FROM generate_series(1, 2000) i"
    ),
    "INSERT INTO shop.items (order_id) SELECT i FROM generate_series(1, 500) i",
    "INSERT INTO shop.visits SELECT '2025-06-01'::date + i, 'somebody' FROM generate_series(1, 400) i",
    "CREATE VIEW shop.sent AS SELECT * FROM public.orders WHERE state = 'sent'",
    "CREATE MATERIALIZED VIEW shop.sums AS SELECT state, sum(amount) FROM public.orders GROUP BY state",
    "CREATE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
    "CREATE TRIGGER touched BEFORE UPDATE ON public.orders FOR EACH ROW EXECUTE FUNCTION shop.touch()",
    "SELECT lo_from_bytea(0, decode(repeat('6b696e', 9000), 'hex'))",
    "CREATE ROLE app LOGIN",
    "CREATE ROLE reporting LOGIN",
    "GRANT USAGE ON SCHEMA shop TO reporting",
    "GRANT SELECT ON public.orders TO reporting",
    "ALTER TABLE public.orders ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY seen ON public.orders FOR SELECT TO reporting USING (state <> 'new')",
    "CREATE FUNCTION shop.total(i integer, s shop.state) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "ALTER FUNCTION shop.total(integer, shop.state) OWNER TO reporting",
    "ALTER DEFAULT PRIVILEGES FOR ROLE app IN SCHEMA shop GRANT SELECT ON TABLES TO reporting",
    "ALTER TYPE shop.state OWNER TO app",
    "ALTER DOMAIN shop.amount OWNER TO app",
    "ALTER TABLE shop.visits OWNER TO app",
    "ALTER MATERIALIZED VIEW shop.sums OWNER TO app",
    "CREATE STATISTICS shop.together ON id, state FROM public.orders",
    "ALTER STATISTICS shop.together OWNER TO app",
    "ALTER SCHEMA public OWNER TO app",
    "ALTER TABLE public.orders OWNER TO app",
    "ALTER TABLE shop.items OWNER TO app",
    "ALTER DATABASE shop SET work_mem = '8MB'",
    "COMMENT ON DATABASE shop IS 'the shop''s'",
    "ALTER DATABASE shop OWNER TO app",
)
_SLOW = (
    _SLOWLY,
    "CREATE TABLE public.slow (i int CHECK (public.slowly(i, 'rows') > 0))",
    "INSERT INTO public.slow SELECT generate_series(1, 200)",
    "CREATE INDEX slow_i ON public.slow (public.slowly(i, 'index'))",
)
_LARGE = (
    "CREATE TABLE public.large (i int, note text)",
    "INSERT INTO public.large SELECT i, repeat(md5(i::text), 20) FROM generate_series(1, 60000) i",
)
_OPTIONS = {"slow": "TEMPLATE template0 LOCALE 'C.utf8'"}
SHOP_ROWS = {
    "public.orders": 2000,
    'shop."odd ""name"': 0,
    "shop.items": 500,
    "shop.visits": 400,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Dumps:
    """Dumps by the name of their database, and what each database was, as SQL."""

    files: Mapping[str, Path]
    sql: Mapping[str, str]


@contextmanager
def dumps() -> Iterator[Dumps]:
    """Make real dumps on a server that is gone when they are used."""
    with scratch("dumps-") as folder:
        server = Postgres.prepare(folder)
        server.start()
        try:
            made = {"shop": _SHOP, "slow": _SLOW, "large": _LARGE}
            for name, statements in made.items():
                server.psql(f"CREATE DATABASE {name} {_OPTIONS.get(name, '')}")
                for each in statements:
                    server.psql(each, dsn=server.dsn(name))
            files = {name: dump(server, name, folder / f"{name}.dump") for name in made}
            sql = {name: sql_of(server, name) for name in made}
        finally:
            server.stop()
        yield Dumps(files=files, sql=sql)


def dump(server: Postgres, database: str, file: Path) -> Path:
    """Dump a database as people do."""
    program = server.programs.program("pg_dump")
    subprocess.run([program, "-Fc", "-f", str(file), server.dsn(database)], check=True, capture_output=True)
    return file


def sql_of(server: Postgres, database: str) -> str:
    """Write a database down whole: schema, rows, owners, rights, sequences, large objects."""
    program = server.programs.program("pg_dump")
    done = subprocess.run([program, server.dsn(database)], check=True, capture_output=True, text=True)
    return re.sub(r"^\\(un)?restrict .*\n", "", done.stdout, flags=re.MULTILINE)


def restored_sql(server: Postgres, database: str) -> str:
    """Write a restored database down whole, as it was dumped: what its owner has was a superuser's."""
    return sql_of(server, database).replace(owner_of(database), "postgres")


class Worker:
    """A worker that was started; its lines are read from the file that they go to."""

    def __init__(self, arguments: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self._log = log
        self._errors = log.with_suffix(".errors")
        for file in (self._log, self._errors):
            file.write_bytes(b"")
        birth = ProcessStart(
            arguments=arguments,
            environment={**os.environ, **environment},
            folder=log.parent,
            out=self._log,
            errors=self._errors,
        )
        self._process = forked.start(birth, main)

    @property
    def lines(self) -> tuple[WorkLine, ...]:
        """Return what it has said so far."""
        text = self._log.read_text()
        return tuple(line for each in text[: text.rfind("\n") + 1].splitlines() if (line := decode(each)) is not None)

    @property
    def over(self) -> bool:
        """Return whether it has ended."""
        return self._process.poll() is not None

    @property
    def notes(self) -> str:
        """Return its notes, one a line."""
        return "\n".join(line.text for line in self.lines if isinstance(line, Note))

    def comes_to(self, what: str) -> None:
        """Wait until `pg_restore` is at something."""
        wait_for(lambda: self._is_at(what), within=TIMEOUT, describe=self._log.read_text)

    def memory(self) -> int:
        """Return the most memory that it has had so far, in KiB; 0 when it is gone."""
        with suppress(OSError):
            for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1])
        return 0

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def ends(self) -> WorkLine | None:
        """Wait for its end; give its last line, None where it has none. Code and line must agree."""
        code = self._process.wait(TIMEOUT)
        errors = self._errors.read_text()
        assert "Traceback" not in errors, errors
        lines = self.lines
        last = lines[-1] if lines and is_last(lines[-1]) else None
        if code >= 0:
            assert last is not None, self._log.read_text() + errors
            assert code == (1 if isinstance(last, Failed) else 0)
        return last

    def kill(self) -> None:
        """End it, where it still runs."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def _is_at(self, what: str) -> bool:
        if self._process.poll() is not None:
            raise HopelessError(f"the worker has ended: {self._log.read_text()}")
        return any(isinstance(line, WorkProgress) and what in line.what for line in self.lines)


def failure(last: WorkLine | None, kind: WorkFailure | None, *says: str) -> Failed:
    """Return a worker's last line, which must tell of a failure of this kind (None: of any) in one sentence with these words."""
    assert isinstance(last, Failed), last
    assert kind in (None, last.kind), last
    assert last.reason
    assert "\n" not in last.reason
    assert [words for words in says if words not in last.reason] == [], last
    return last


class RestoreStage:
    """The server that is restored into."""

    def __init__(self, server: Postgres, made: Dumps) -> None:
        self.server, self.dumps = server, made
        self.environment: dict[str, str] = {"KINTSUGI_PG_BIN": str(server.programs.bin), "PGPASSWORD": PASSWORD}
        self._workers: list[Worker] = []

    @classmethod
    @contextmanager
    def built(
        cls,
        made: Dumps,
        *,
        folder: Path | None = None,
        without: Sequence[str] = (),
        brings: Mapping[str, str] = NO_EXTENSIONS,
    ) -> Iterator["RestoreStage"]:
        """
        Start a server on which the operator and the applications need their passwords; a live database is on it.

        `without` names extensions that its programs do not bring, `brings` has the scripts of those that they bring besides.
        """
        with scratch("restore-") as own:
            server = Postgres.prepare(folder or own)
            if without or brings:
                server = with_programs(server, without=without, brings=brings)
            rules = "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
            (server.folder / "data" / "pg_hba.conf").write_text(rules)
            server.start()
            try:
                stage = cls(server, made)
                stage._furnish()
                yield stage
            finally:
                server.kill()

    def reset(self) -> None:
        """Remove what tests have left; the live database stays."""
        for worker in self._workers:
            worker.kill()
        kept = "('postgres', 'live', 'template0', 'template1')"
        for name in self.server.psql(f"SELECT datname FROM pg_database WHERE datname NOT IN {kept}").splitlines():
            self.server.psql(f'DROP DATABASE "{name}" WITH (FORCE)')
        self.server.psql("ALTER DATABASE postgres OWNER TO postgres")
        made = "rolname IN ('app', 'reporting') OR rolname ~ '^kintsugi_owner_'"
        for role in self.server.psql(f"SELECT rolname FROM pg_roles WHERE {made}").splitlines():
            self.server.psql(f"DROP ROLE {role}")
        self.pace()
        self.environment = {"KINTSUGI_PG_BIN": str(self.server.programs.bin), "PGPASSWORD": PASSWORD}

    def pace(self, *, rows: float = 0, index: float = 0) -> None:
        """Let each row of the slow table, and each of its index, take so many seconds."""
        self.server.psql(f"ALTER ROLE ALL SET stage.rows = '{rows}'")
        self.server.psql(f"ALTER ROLE ALL SET stage.index = '{index}'")

    def restore(self, name: str, *more: str, into: str | None = None, roles: Sequence[str] = ()) -> Worker:
        """Start a worker that restores a dump (by the name of its database)."""
        declared = [word for role in roles for word in ("--role", role)]
        return self.worker("restore", str(self.dumps.files[name]), "--database", into or name, *declared, *more)

    def worker(self, *arguments: str, port: int | None = None, host: str = "127.0.0.1") -> Worker:
        """Start a worker against this server, or another."""
        server = ["--host", host, "--port", str(port or self.server.port), "--user", OPERATOR]
        log = self.server.folder / f"worker-{len(self._workers)}.log"
        self._workers.append(Worker([*arguments, *server], log, self.environment))
        return self._workers[-1]

    def restored(self, worker: Worker) -> Restored:
        """Wait for a worker that must succeed."""
        last = worker.ends()
        assert isinstance(last, Restored), last
        return last

    def failed(self, worker: Worker, kind: WorkFailure | None = None, *says: str) -> Failed:
        """Wait for a worker that must fail in this way, with one sentence that has these words in it."""
        return failure(worker.ends(), kind, *says)

    def everything(self) -> str:
        """Write down all that is on the server: databases, roles, and every row of what is live."""
        databases = self.server.psql(
            "SELECT oid, datname, datdba, datallowconn, datconnlimit, datacl, shobj_description(oid, 'pg_database')"
            " FROM pg_database ORDER BY datname"
        )
        roles = self.server.psql("SELECT rolname, rolcanlogin, rolpassword FROM pg_authid ORDER BY rolname")
        return "\n".join((databases, roles, sql_of(self.server, "live"), sql_of(self.server, "postgres")))

    def digest(self, name: str) -> str:
        """Return the checksum of a dump."""
        return hashlib.sha256(self.dumps.files[name].read_bytes()).hexdigest()

    def at_work(self) -> int:
        """Count the workers' sessions on the server."""
        return int(
            self.server.psql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'kintsugi restore'")
        )

    def databases(self) -> set[str]:
        """Name the databases that are neither the server's own nor the live one."""
        rows = self.server.psql("SELECT datname FROM pg_database WHERE NOT datistemplate").splitlines()
        return set(rows) - {"postgres", "live"}

    def log_in(self, user: str, password: str, database: str, statement: str) -> str:
        """Ask as an application, with its password."""
        url = f"host=127.0.0.1 port={self.server.port} user={user} password={password} dbname={database}"
        return self.server.psql(statement, dsn=url)

    def _furnish(self) -> None:
        quoted = PASSWORD.replace("'", "''")
        self.server.psql(f"CREATE ROLE {OPERATOR} SUPERUSER LOGIN PASSWORD '{quoted}'")
        self.server.psql("CREATE DATABASE live")
        live = self.server.dsn("live")
        self.server.psql("CREATE TABLE accounts (id int PRIMARY KEY, saldo numeric)", dsn=live)
        self.server.psql("INSERT INTO accounts SELECT i, i * 3.5 FROM generate_series(1, 5000) i", dsn=live)
        self.server.psql("CREATE TABLE notes (note text)", dsn=live)
        self.server.psql("INSERT INTO notes SELECT md5(i::text) FROM generate_series(1, 500) i", dsn=live)


def with_programs(
    server: Postgres, *, without: Sequence[str] = (), brings: Mapping[str, str] = NO_EXTENSIONS
) -> Postgres:
    """Return a server with programs of its own, from which extensions are missing, and which bring others by their scripts."""
    site = server.folder / "site"
    for name, source in server.programs.files().items():
        if source.name not in {f"{each}.control" for each in without}:
            (site / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, site / name)
    programs = replace(
        server.programs, site=site, installed=site / server.programs.installed.relative_to(server.programs.site)
    )
    extensions = programs.installed / "share" / "postgresql" / "extension"
    for name, script in brings.items():
        (extensions / f"{name}.control").write_text("default_version = '1'\n")
        (extensions / f"{name}--1.sql").write_text(script)
    arguments = [programs.program("postgres"), *server.server.arguments[1:]]
    return replace(server, programs=programs, server=replace(server.server, arguments=arguments))
