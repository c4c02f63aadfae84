"""Logs: what the lines of a real PostgreSQL mean by the shipped patterns, which log is read, and how much is kept (E4, E27)."""

from collections.abc import AsyncGenerator
from typing import Any, Unpack

import pytest

from kintsugi.actions.probe import ProbeContext
from kintsugi.catalog import load, shipped_paths
from kintsugi.errors import Invalid, NotFound
from kintsugi.json_limits import MOST_LINES
from kintsugi.kube.client import LogOptions
from kintsugi.kube.execution import Executed
from kintsugi.model.runbooks import Pattern, Severity
from kintsugi.verbs import logs
from kintsugi.verbs.logs import LONGEST_LINE, MOST_FINDINGS, find, sqlstate_of
from tests.unit.actions.changes import Cluster
from tests.unit.actions.samples import member

PATTERNS = load(shipped_paths()).patterns["postgresql"].patterns
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


PANIC = f"{AT} PANIC:  could not locate a valid checkpoint record"


def logging(obj: dict[str, Any], now: str, before: str = "") -> Cluster:
    """Make a cluster with the logs of a pod's container and of the one before it."""
    cluster = Cluster(obj)
    cluster.logs_of["db-0", "main", False] = f"{now}\n".encode()
    if before:
        cluster.logs_of["db-0", "main", True] = f"{before}\n".encode()
    return cluster


async def scanned(cluster: Cluster) -> dict[str, Any]:
    """Scan the log of the pod."""
    return await cluster.read("kubectl logs db-0", probe_context=ProbeContext(patterns=PATTERNS))


class NotStartedCluster(Cluster):
    """Answers logs as a kubelet does for a container that has not started."""

    async def logs(self, name: str, namespace: str, **options: Unpack[LogOptions]) -> AsyncGenerator[bytes, None]:
        """Yield nothing."""
        yield self.answer()

    def answer(self) -> bytes:
        """Raise what the kubelet answers."""
        raise Invalid('container "main" in pod "db-0" is waiting to start: ContainerCreating', status=400)


@pytest.mark.parametrize(
    ("cluster", "means", "lines"),
    [
        (logging(member(restartCount=1), "starting", PANIC), ["corruption"], [PANIC, "starting"]),
        (logging(member(restartCount=0), "starting"), [], ["starting"]),
        (NotStartedCluster(member(restartCount=0)), [], []),
    ],
    ids=["it restarted", "it never restarted", "it has not started"],
)
async def test_a_container_that_restarted_is_heard_with_the_one_before_it(
    cluster: Cluster, means: list[str], lines: list[str]
) -> None:
    """The one that died knows why; one that has not started has said nothing yet."""
    names = await scanned(cluster)
    assert [each["means"] for each in names["findings"]] == means
    assert names["lines"] == lines


async def test_a_log_that_cannot_be_read_is_no_answer() -> None:
    """P6: no findings is not the same as no log."""
    with pytest.raises(NotFound):
        await scanned(Cluster(member(restartCount=0)))


class Restarting(Cluster):
    """A database whose container is started again and again; `after` is what its pod is like once its log was read."""

    def __init__(self, before: dict[str, Any], after: dict[str, Any] | None = None) -> None:
        super().__init__(before)
        self.after = after
        self.logs_of["db-0", "main", True] = PANIC.encode()
        self.logs_of["db-0", "main", False] = f"{AT} PANIC:  WAL contains references to invalid pages".encode()

    async def logs(self, name: str, namespace: str, **options: Unpack[LogOptions]) -> AsyncGenerator[bytes, None]:
        """Yield the log; afterwards the pod may be another."""
        async for chunk in super().logs(name, namespace, **options):
            yield chunk
        if self.after is not None:
            self.add(self.after)


def started(restarts: int, *, waits: bool = False) -> dict[str, Any]:
    """Make the pod after so many restarts, running or held back before the next start."""
    before = {"terminated": {"containerID": f"c{restarts if waits else restarts - 1}"}}
    return member(restartCount=restarts, containerID=f"c{restarts}", lastState=before)


@pytest.mark.parametrize(
    ("cluster", "starts"),
    [
        (Restarting(started(4)), [("c3", ["corruption"]), ("c4", ["panic"])]),
        (Restarting(started(4, waits=True)), [("c4", ["corruption", "panic"])]),
        (Restarting(started(4), after=started(5)), []),
    ],
    ids=["it runs", "it waits for its next start", "it was replaced while it was read"],
)
async def test_a_finding_is_told_with_the_start_that_it_is_of(
    cluster: Cluster, starts: list[tuple[str, list[str]]]
) -> None:
    """Three starts are three only when they are not one that was read thrice; what may be either's counts for none."""
    names = await scanned(cluster)
    assert [(each["start"], sorted(each["means"])) for each in names["starts"]] == starts
    if not starts:
        assert [each["start"] for each in names["findings"]] == ["", ""]


MIB = 1 << 20


class Saying(Cluster):
    """A pod whose log and whose programs say `text`."""

    def __init__(self, text: bytes) -> None:
        super().__init__(member())
        self.logs_of["db-0", "main", False] = text
        self.text = text

    async def execute(self, *_: object, **__: object) -> Executed:
        """Run nothing, and say it."""
        return Executed(stdout=self.text, stderr=b"", exit_code=0, truncated=False)


LINES = b"".join(b"%d\n" % number for number in range(MIB))[:MIB] + b"\nlast"


async def test_the_newest_of_a_log_s_short_lines_are_kept() -> None:
    """A mebibyte of line ends was a million lines."""
    names = await Saying(LINES).read("kubectl logs db-0")
    assert len(names["lines"]) == len(names["sources"]) == MOST_LINES
    assert names["lines"][-1] == "last"
    assert "the oldest left out" in str(names["summary"])


async def test_a_log_of_short_lines_is_scanned_as_far_as_it_is_kept() -> None:
    patterns = (Pattern(match="^last$", means="the end", severity=Severity.INFO),)
    names = await Saying(LINES).read("kubectl logs db-0", probe_context=ProbeContext(patterns=patterns))
    assert [each["means"] for each in names["findings"]] == ["the end"]


async def test_the_first_of_a_program_s_short_lines_are_kept() -> None:
    names = await Saying(LINES).read("kubectl exec db-0 -- redis-cli INFO")
    assert len(names["lines"]) == MOST_LINES
    assert names["lines"][:2] == ["0", "1"]
    assert "cut there" in str(names["summary"])


async def test_an_ordinary_log_of_a_mebibyte_is_kept_whole() -> None:
    line = b"2026-05-04 12:00:00.123 UTC [42] LOG:  checkpoint complete: wrote 3 buffers\n"
    whole = line * ((MIB - 1) // len(line))
    names = await Saying(whole).read("kubectl logs db-0")
    assert len(names["lines"]) == whole.count(b"\n")
    assert "left out" not in str(names["summary"])
    assert logs._MOST_KEPT == MIB
