"""Every change becomes durable in one place, and that place is told right before and right after."""

from collections.abc import Awaitable, Callable

import pytest

from kintsugi.ledger import Ledger
from kintsugi.model.records import IncidentState, Pause, PauseScope, RunRecord, VerdictKind
from tests.contract.ledger.build import (
    NOW,
    Crossings,
    begin,
    dead_letter,
    good_revision,
    good_template,
    kept,
    leading,
    question,
    request,
    signal,
    started,
    step,
    verdict,
    write,
)
from tests.harness.ledgers import keep_evidence

Change = Callable[[Ledger, RunRecord], Awaitable[object]]

CHANGES: dict[str, Change] = {
    "accept": lambda ledger, _: ledger.signals.accept([signal()], NOW),
    "settle": lambda ledger, _: ledger.signals.settle({"sig-x": verdict(VerdictKind.NO_RULE)}, NOW),
    "keep-dead-letters": lambda ledger, _: ledger.signals.keep_dead_letters([dead_letter("dead-1")]),
    "save-conditions": lambda ledger, _: ledger.signals.save_conditions((), [("rule", "uid")]),
    "request-run": lambda ledger, _: request(ledger, service="other"),
    "save-step delete/pods#0 intent": lambda ledger, run: write(ledger, step(run)),
    "move-run recovered": lambda ledger, run: ledger.incidents.move_run(run.id, IncidentState.RECOVERED, "well", NOW),
    "keep-evidence a": lambda ledger, run: keep_evidence(ledger, run.id, "a", "logs", "text", NOW),
    "keep-diagnosis opened": lambda ledger, run: ledger.incidents.keep_diagnosis(kept(run)),
    "pause": lambda ledger, _: ledger.people.pause(
        Pause(id="pause-1", scope=PauseScope.GLOBAL, who="ann", why="deploy", since=NOW)
    ),
    "ask a": lambda ledger, run: ledger.people.ask(question(run.incident, path="a")),
    "note-good": lambda ledger, _: ledger.good_state.note_good([good_revision()]),
    "forget-good": lambda ledger, _: ledger.good_state.forget_good("uid", "abc"),
    "keep-template": lambda ledger, _: ledger.good_state.keep_template(good_template()),
    "keep-catalog": lambda ledger, _: ledger.catalogs.keep("digest", {"web.yaml": "service: web"}),
    "notice-sent": lambda ledger, _: ledger.outbox.notice_sent("ntc-x"),
    "take-locks a": lambda ledger, run: ledger.incidents.take_locks(run.id, "a", ["service other"], NOW),
    "release-locks a": lambda ledger, run: ledger.incidents.release_locks(run.id, ["a"]),
    "prune": lambda ledger, _: ledger.upkeep.prune(NOW, NOW),
    "lead": lambda ledger, _: ledger.lead(NOW),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_the_boundary_is_passed_once_before_and_once_after_each_commit(url: str, name: str) -> None:
    """C1: crash points are numbered here, so none may be missing and none be double."""
    crossings = Crossings()
    async with leading(url, failpoints=crossings) as ledger:
        run = await begin(ledger)
        crossings.passed.clear()
        await CHANGES[name](ledger, run)
    assert crossings.passed == [("commit", name, True), ("commit", name, False)]


async def test_looking_passes_no_boundary(url: str) -> None:
    """C1: reading leaves nothing behind."""
    crossings = Crossings()
    async with Ledger.open(url, holder="kintsugi-0", failpoints=crossings) as ledger:
        await ledger.ping()
        await ledger.signals.due(NOW)
        await ledger.incidents.open_runs()
        await ledger.signals.accept([], NOW)
    assert crossings.passed == []


class Crash(BaseException):
    """What ends the process at a crash point, in a test that lives on."""


class CrashBefore:
    """A boundary that crashes before the commit of one name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def hit(self, kind: str, name: str, *, before: bool) -> None:
        """Crash there."""
        if name == self.name and before:
            raise Crash(name)


async def test_a_crash_before_the_commit_leaves_nothing_half_done(url: str) -> None:
    """C1, P8: neither the run nor its incident nor its locks nor the verdict."""
    told = signal()
    async with leading(url, failpoints=CrashBefore("request-run")) as ledger:
        await ledger.signals.accept([told], NOW)
        with pytest.raises(Crash):
            await request(ledger, told)
    async with leading(url) as ledger:
        assert await ledger.incidents.newest() == ()
        assert await ledger.signals.pending() == 1
        started(await request(ledger, told))


async def test_a_notice_is_written_with_its_cause_or_not_at_all(url: str) -> None:
    """The outbox: nobody is told of what was not kept, and nothing kept goes untold."""
    async with leading(url, failpoints=CrashBefore("move-run needs-operator")) as ledger:
        run = await begin(ledger)
        with pytest.raises(Crash):
            await ledger.incidents.move_run(run.id, IncidentState.NEEDS_OPERATOR, "help", NOW)
        assert await ledger.outbox.due_notices(NOW) == ()
        assert (await ledger.incidents.run(run.id)).state is IncidentState.RUNNING
    async with leading(url) as ledger:
        await ledger.incidents.move_run(run.id, IncidentState.NEEDS_OPERATOR, "help", NOW)
        (notice,) = await ledger.outbox.due_notices(NOW)
        assert (notice.incident, notice.kind, notice.text) == (run.incident, IncidentState.NEEDS_OPERATOR, "help")


async def test_a_crash_of_the_intake_answers_everybody_who_waited(url: str) -> None:
    """P1: nobody waits for ever, and nobody is told yes."""
    async with leading(url, failpoints=CrashBefore("accept")) as ledger:
        with pytest.raises(Crash):
            await ledger.signals.accept([signal()], NOW)
        assert await ledger.signals.pending() == 0
