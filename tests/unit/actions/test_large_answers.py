"""A large log or output has no more lines than its bytes would usually make. E4, E27."""

from datetime import timedelta
from typing import Any

from kintsugi.actions.actions import Actions
from kintsugi.actions.probe_context import ProbeContext
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.commands import parse
from kintsugi.json_limits import MOST_LINES
from kintsugi.kube.execution import Executed
from kintsugi.model.patterns import Pattern, Severity
from kintsugi.verbs import logs
from kubeobjects.resources import PODS
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts

SOON = timedelta(seconds=60)
MIB = 1 << 20


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

    async def read(self, line: str, probe_context: ProbeContext) -> dict[str, Any]:
        """Do a command on it; give its names with the summary."""
        actions = Actions(self, Clients.restricted_to(AddressRule()))
        result = await actions.read(parse(line, namespace="production"), deadline=SOON, probe_context=probe_context)
        return {**result.names, "summary": result.summary}


LINES = b"".join(b"%d\n" % number for number in range(MIB))[:MIB] + b"\nlast"


async def test_the_newest_of_a_log_s_short_lines_are_kept() -> None:
    """A mebibyte of line ends was a million lines."""
    names = await Saying(LINES).read("kubectl logs db-0", ProbeContext())
    assert len(names["lines"]) == len(names["sources"]) == MOST_LINES
    assert names["lines"][-1] == "last"
    assert "the oldest left out" in str(names["summary"])


async def test_a_log_of_short_lines_is_scanned_as_far_as_it_is_kept() -> None:
    patterns = (Pattern(match="^last$", means="the end", severity=Severity.INFO),)
    names = await Saying(LINES).read("kubectl logs db-0", ProbeContext(patterns=patterns))
    assert [each["means"] for each in names["findings"]] == ["the end"]


async def test_the_first_of_a_program_s_short_lines_are_kept() -> None:
    names = await Saying(LINES).read("kubectl exec db-0 -- redis-cli INFO", ProbeContext())
    assert len(names["lines"]) == MOST_LINES
    assert names["lines"][:2] == ["0", "1"]
    assert "cut there" in str(names["summary"])


async def test_an_ordinary_log_of_a_mebibyte_is_kept_whole() -> None:
    line = b"2026-05-04 12:00:00.123 UTC [42] LOG:  checkpoint complete: wrote 3 buffers\n"
    whole = line * ((MIB - 1) // len(line))
    names = await Saying(whole).read("kubectl logs db-0", ProbeContext())
    assert len(names["lines"]) == whole.count(b"\n")
    assert "left out" not in str(names["summary"])
    assert logs._MOST_KEPT == MIB
