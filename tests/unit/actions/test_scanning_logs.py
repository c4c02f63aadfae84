"""What the lines of a real PostgreSQL log mean by the shipped patterns, and which log is read for them."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any, Unpack

import pytest

from kintsugi.actions.actions import Actions
from kintsugi.actions.probe_context import ProbeContext
from kintsugi.actions.scan import LONGEST_LINE, MOST_FINDINGS, find, sqlstate_of
from kintsugi.catalog import load, shipped_paths
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.commands import parse
from kintsugi.errors import Invalid, NotFound
from kintsugi.kube.client import LogOptions
from kintsugi.model.patterns import Pattern, Severity
from kubeobjects.resources import PODS
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts

PATTERNS = load(shipped_paths()).patterns["postgresql"].patterns
SOON = timedelta(seconds=5)
AT = "2026-05-04 12:00:00.123 UTC [42]"

MEANINGS = [
    (f"{AT} LOG:  database system was not properly shut down; automatic recovery in progress", "recovering", "info"),
    (f"{AT} LOG:  redo in progress, elapsed time: 10.00 s, current LSN: 0/3000060", "recovering", "info"),
    (f"{AT} FATAL:  the database system is starting up", "recovering", "info"),
    (f"{AT} FATAL:  the database system is in recovery mode", "recovering", "info"),
    (f"{AT} LOG:  all server processes terminated; reinitializing", "recovering", "info"),
    (f'{AT} FATAL:  password authentication failed for user "ada"', "client", "info"),
    (f"{AT} FATAL:  sorry, too many clients already", "client", "info"),
    (f"{AT} FATAL:  the database system is shutting down", "client", "info"),
    (f'{AT} FATAL:  role "root" does not exist', "client", "info"),
    (f"{AT} FATAL:  terminating connection due to administrator command", "client", "info"),
    (f"{AT} ERROR:  invalid page in block 7 of relation base/5/16384", "corruption", "critical"),
    (
        f'{AT} ERROR:  could not read block 3 in file "base/5/16384": read only 0 of 8192 bytes',
        "corruption",
        "critical",
    ),
    (f"{AT} PANIC:  could not locate a valid checkpoint record", "corruption", "critical"),
    (f"{AT} FATAL:  incorrect checksum in control file", "corruption", "critical"),
    (f'{AT} FATAL:  could not open file "global/pg_filenode.map": No such file or directory', "corruption", "critical"),
    (f'{AT} PANIC:  could not write to file "pg_wal/xlogtemp.42": No space left on device', "disk-full", "critical"),
    (f"{AT} FATAL:  could not map anonymous shared memory: Cannot allocate memory", "failure", "critical"),
    (f'{AT} PANIC:  could not open file "pg_wal/000000010000000000000001": Permission denied', "failure", "critical"),
    (f"{AT} PANIC:  WAL contains references to invalid pages", "panic", "critical"),
    (f"{AT} FATAL:  database files are incompatible with server", "incompatible", "critical"),
    (f"{AT} DETAIL:  The data directory was initialized by PostgreSQL version 15.", "incompatible", "critical"),
    (f"{AT} DETAIL:  The database cluster was initialized with PG_CONTROL_VERSION 0, but", "corruption", "critical"),
    (f'{AT} FATAL:  "/var/lib/postgresql/data" is not a valid data directory', "empty", "critical"),
    (f'{AT} DETAIL:  File "/var/lib/postgresql/data/PG_VERSION" is missing.', "empty", "critical"),
    (f'{AT} FATAL:  data directory "/data/pg" does not exist', "empty", "critical"),
    ("PostgreSQL init process complete; ready for start up.", "empty", "warning"),
    ("postgres: could not find the database system", "corruption", "critical"),
    (f'{AT} LOG:  restored log file "000000010000000000000007" from archive', "recovering", "info"),
    (f"{AT} FATAL:  could not receive data from WAL stream: ERROR: gone", "replication", "warning"),
]
HARMLESS = [
    "Data page checksums are disabled.",
    f"{AT} LOG:  database system is ready to accept connections",
    f"{AT} LOG:  invalid record length at 0/1529A88: expected at least 24, got 0",
    f'{AT} ERROR:  relation "orders" does not exist at character 15',
    f"{AT} LOG:  checkpoint complete: wrote 3 buffers (0.0%)",
]


@pytest.mark.parametrize(("line", "means", "severity"), MEANINGS, ids=[means[23:70] for means, *_ in MEANINGS])
def test_a_line_of_postgresql_means_what_it_says(line: str, means: str, severity: str) -> None:
    (finding,) = find([line], ["database-0"], PATTERNS)
    assert (finding["means"], finding["severity"], finding["line"]) == (means, severity, line)
    assert finding["pod"] == "database-0"


@pytest.mark.parametrize("line", HARMLESS)
def test_a_harmless_line_means_nothing(line: str) -> None:
    assert find([line], ["database-0"], PATTERNS) == []


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("2026-05-04 12:00:00 UTC [42] XX001 ERROR:  bad", "XX001"),
        ("2026-05-04 12:00:00 UTC [42] ERROR:  XX002: bad", "XX002"),
        ('{"pid":53100,"error_severity":"FATAL","state_code":"53100","message":"bad"}', "53100"),
        ("2026-05-04 12:00:00 UTC [53100] ERROR:  a process of that number", ""),
        ("2026-05-04 12:00:00 UTC [42] LOG:  53100 rows", ""),
    ],
)
def test_an_sqlstate_is_seen_where_it_stands_and_no_other_number_is_taken_for_one(line: str, code: str) -> None:
    assert sqlstate_of(line) == code


def test_a_code_alone_is_enough() -> None:
    (finding,) = find(["[42] XX001 ERROR:  etwas ist kaputt"], ["database-0"], PATTERNS)
    assert (finding["means"], finding["sqlstate"]) == ("corruption", "XX001")


def test_the_findings_of_a_log_are_bounded() -> None:
    """E4: the newest findings are kept, and of a line its beginning."""
    every = Pattern(match="x", means="x", severity=Severity.INFO)
    found = find([f"{number} {'x' * 9999}" for number in range(1200)], ["p"] * 1200, [every])
    assert len(found) == MOST_FINDINGS
    assert str(found[-1]["line"]).startswith("1199 x")
    assert {len(str(each["line"])) for each in found} == {LONGEST_LINE}


def pod(*, restarts: int) -> dict[str, Any]:
    """Make a database's pod."""
    return {
        "metadata": {"name": "database-0", "namespace": "production", "uid": "u-1"},
        "spec": {"containers": [{"name": "postgres"}]},
        "status": {"containerStatuses": [{"name": "postgres", "restartCount": restarts}]},
    }


async def scanned(cluster: ClusterOfDicts) -> dict[str, Any]:
    """Scan the log of the pod."""
    actions = Actions(cluster, Clients.restricted_to(AddressRule()))
    command = parse("kubectl logs database-0", namespace="production")
    return dict((await actions.read(command, deadline=SOON, probe_context=ProbeContext(patterns=PATTERNS))).names)


async def test_a_container_that_restarted_is_heard_with_the_one_before_it() -> None:
    """The one that died knows why."""
    cluster = ClusterOfDicts((PODS, pod(restarts=1)))
    cluster.logs_of["database-0", "postgres", True] = (
        f"{AT} PANIC:  could not locate a valid checkpoint record\n".encode()
    )
    cluster.logs_of["database-0", "postgres", False] = b"starting\n"
    names = await scanned(cluster)
    assert [each["means"] for each in names["findings"]] == ["corruption"]
    assert names["lines"] == [f"{AT} PANIC:  could not locate a valid checkpoint record", "starting"]


async def test_a_container_that_never_restarted_has_none_before_it() -> None:
    cluster = ClusterOfDicts((PODS, pod(restarts=0)))
    cluster.logs_of["database-0", "postgres", False] = b"starting\n"
    names = await scanned(cluster)
    assert (names["findings"], names["lines"]) == ([], ["starting"])


class NotStartedCluster(ClusterOfDicts):
    """Answers logs as a kubelet does for a container that has not started."""

    async def logs(self, name: str, namespace: str, **options: Unpack[LogOptions]) -> AsyncGenerator[bytes, None]:
        """Yield nothing."""
        yield self.answer()

    def answer(self) -> bytes:
        """Raise what the kubelet answers."""
        raise Invalid('container "postgres" in pod "database-0" is waiting to start: ContainerCreating', status=400)


async def test_a_container_that_has_not_started_has_said_nothing_yet() -> None:
    names = await scanned(NotStartedCluster((PODS, pod(restarts=0))))
    assert (names["findings"], names["lines"]) == ([], [])


async def test_a_log_that_cannot_be_read_is_no_answer() -> None:
    """P6: no findings is not the same as no log."""
    with pytest.raises(NotFound):
        await scanned(ClusterOfDicts((PODS, pod(restarts=0))))


class Restarting(ClusterOfDicts):
    """A database whose container is started again and again; `after` is what its pod is like once its log was read."""

    def __init__(self, before: dict[str, Any], after: dict[str, Any] | None = None) -> None:
        super().__init__((PODS, before))
        self.after = after
        self.logs_of["database-0", "postgres", True] = (
            f"{AT} PANIC:  could not locate a valid checkpoint record\n".encode()
        )
        self.logs_of["database-0", "postgres", False] = (
            f"{AT} PANIC:  WAL contains references to invalid pages\n".encode()
        )

    async def logs(self, name: str, namespace: str, **options: Unpack[LogOptions]) -> AsyncGenerator[bytes, None]:
        """Yield the log; afterwards the pod may be another."""
        async for chunk in super().logs(name, namespace, **options):
            yield chunk
        if self.after is not None:
            self.put(PODS, self.after)


def started(restarts: int, *, waits: bool = False) -> dict[str, Any]:
    """Make the pod after so many restarts, running or held back before the next start."""
    made = pod(restarts=restarts)
    (status,) = made["status"]["containerStatuses"]
    before = restarts if waits else restarts - 1
    status |= {"containerID": f"c{restarts}", "lastState": {"terminated": {"containerID": f"c{before}"}}}
    return made


async def test_a_finding_is_told_with_the_start_that_it_is_of() -> None:
    """Three starts are three only when they are not one that was read thrice."""
    names = await scanned(Restarting(started(4)))
    assert names["starts"] == [
        {"pod": "database-0", "start": "c3", "means": ["corruption"]},
        {"pod": "database-0", "start": "c4", "means": ["panic"]},
    ]


async def test_a_container_that_waits_for_its_next_start_is_one_start_and_not_two() -> None:
    """Its log and the one before it are the same container's then."""
    names = await scanned(Restarting(started(4, waits=True)))
    assert [each["start"] for each in names["starts"]] == ["c4"]


async def test_a_log_that_was_read_while_the_container_was_replaced_is_of_no_start() -> None:
    """It may be either's: it counts for none."""
    names = await scanned(Restarting(started(4), after=started(5)))
    assert names["starts"] == []
    assert [each["start"] for each in names["findings"]] == ["", ""]
