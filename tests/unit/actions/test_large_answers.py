"""What is large is worked on in a thread, and has no more lines than its bytes would usually make. E4, E27."""

import threading
from datetime import timedelta

import pytest

from kintsugi.actions import execute, logs
from kintsugi.actions.actions import Actions
from kintsugi.actions.asker import Asker
from kintsugi.actions.threads import LEAST_LINE, MOST_ON_LOOP, computed, size_of
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.commands import parse
from kintsugi.kube.execution import Executed
from kintsugi.model.documents import Pattern, Severity
from kintsugi.objects.resources import PODS
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts

SOON = timedelta(seconds=60)
MIB = 1 << 20


@pytest.mark.parametrize(("size", "in_loop"), [(0, True), (MOST_ON_LOOP, True), (MOST_ON_LOOP + 1, False)])
async def test_what_is_large_is_worked_on_in_a_thread(size: int, in_loop: bool) -> None:
    worked_in = await computed(size, threading.get_ident)
    assert (worked_in == threading.get_ident()) is in_loop


@pytest.mark.parametrize("size", [0, MOST_ON_LOOP + 1])
async def test_what_the_work_raises_is_raised(size: int) -> None:
    def work() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await computed(size, work)


@pytest.mark.parametrize(
    ("value", "size"),
    [("x" * 100, 100), ("", 4), (1, 4), ({"a" * 10: ["b" * 10, None]}, 4 + 10 + 4 + 10 + 4), ({}, 4)],
)
def test_the_size_of_a_value_is_that_of_its_texts(value: object, size: int) -> None:
    assert size_of(value) == size


def test_the_size_of_a_huge_value_is_not_counted_to_its_end() -> None:
    assert MOST_ON_LOOP < size_of(["x"] * 10**6) <= MOST_ON_LOOP + 8
    assert size_of({"a": "x" * 10**6}) > MOST_ON_LOOP


class Saying(ClusterOfDicts):
    """A pod whose log and whose programs say `text`."""

    def __init__(self, text: bytes) -> None:
        status = {"name": "main", "containerID": "c-1", "imageID": "img", "state": {"running": {}}, "ready": True}
        metadata = {"name": "db-0", "namespace": "production", "uid": "u-1"}
        spec = {"containers": [{"name": "main"}]}
        state = {"phase": "Running", "containerStatuses": [status]}
        super().__init__((PODS, {"kind": "Pod", "metadata": metadata, "spec": spec, "status": state}))
        self.logs_of["db-0", "main", False] = text
        self.text = text

    async def execute(self, *_: object, **__: object) -> Executed:
        """Run nothing, and say it."""
        return Executed(stdout=self.text, stderr=b"", exit_code=0, truncated=False)

    async def look(self, line: str, asker: Asker) -> dict[str, object]:
        """Do a command on it; give its names with the summary."""
        actions = Actions(self, Clients.under(AddressRule()))  # type: ignore[arg-type]
        result = await actions.look(parse(line, namespace="production"), deadline=SOON, asker=asker)
        return {**result.names, "summary": result.summary}


LINES = b"".join(b"%d\n" % number for number in range(MIB))[:MIB] + b"\nlast"


async def test_of_a_log_of_short_lines_the_newest_are_kept() -> None:
    """A mebibyte of line ends was a million lines."""
    names = await Saying(LINES).look("kubectl logs db-0", Asker())
    assert len(names["lines"]) == len(names["sources"]) == MIB // LEAST_LINE  # type: ignore[arg-type]
    assert names["lines"][-1] == "last"  # type: ignore[index]
    assert "the oldest left out" in str(names["summary"])


async def test_a_log_of_short_lines_is_scanned_as_far_as_it_is_kept() -> None:
    patterns = (Pattern(match="^last$", means="the end", severity=Severity.INFO),)
    names = await Saying(LINES).look("kubectl logs db-0", Asker(patterns=patterns))
    assert [each["means"] for each in names["findings"]] == ["the end"]  # type: ignore[attr-defined]


async def test_of_a_program_that_prints_short_lines_the_first_are_kept() -> None:
    names = await Saying(LINES).look("kubectl exec db-0 -- redis-cli INFO", Asker())
    assert len(names["lines"]) == execute.MOST_LINES  # type: ignore[arg-type]
    assert names["lines"][:2] == ["0", "1"]  # type: ignore[index]
    assert "cut there" in str(names["summary"])


async def test_an_ordinary_log_of_a_mebibyte_is_kept_whole() -> None:
    line = b"2026-05-04 12:00:00.123 UTC [42] LOG:  checkpoint complete: wrote 3 buffers\n"
    whole = line * ((MIB - 1) // len(line))
    names = await Saying(whole).look("kubectl logs db-0", Asker())
    assert len(names["lines"]) == whole.count(b"\n")  # type: ignore[arg-type]
    assert "left out" not in str(names["summary"])
    assert logs._MOST_KEPT == MIB
