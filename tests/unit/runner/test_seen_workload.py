"""
Nobody's repair is undone: before its first write, a rollback compares the workload with the one at its decision (E17, P4, P5).

The table of docs/reliability.md is made of `REPAIRS`: `make docs`.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from msgspec import structs

from kintsugi.actions.effect_plan import undone_by
from kintsugi.commands import encode, parse
from kintsugi.commands.registry import definitions_by_verb
from kintsugi.model.records import IncidentState, StepRecord, StepState
from kintsugi.runner.seen_workload import rollout_verb, seen_of
from tests.harness.daemon import ROOT
from tests.unit.factories import pod
from tests.unit.runner.bench import RunBench

pytestmark = pytest.mark.looptime

EXAMPLES = [each.spec.example for each in definitions_by_verb().values() if each.spec and each.spec.changes]
AS_STEP = [each for each in EXAMPLES if each.startswith("kubectl ")]
WELL = (pod("web-1"), pod("web-2"), pod("web-3"))

Repair = Callable[[RunBench], None]


def other_template(bench: RunBench) -> None:
    """Roll out a fix that is not healthy yet."""
    bench.observed.show(template="fixed")


def other_uid(bench: RunBench) -> None:
    """Create the workload anew, as it was."""
    view = bench.observed.views["web"]
    assert view.workload is not None
    metadata = structs.replace(view.workload.metadata, uid="uid-anew")
    bench.observed.views["web"] = replace(view, workload=structs.replace(view.workload, metadata=metadata))


def healthy_again(bench: RunBench) -> None:
    """Repair the service without a new template."""
    bench.observed.show(ready=3, pods=WELL)


REPAIRS: dict[str, tuple[Repair, str]] = {
    "another template is rolled out": (other_template, "deployment/web was changed since the rollback was decided"),
    "the workload is created anew": (other_uid, "deployment/web was created anew since the rollback was decided"),
    "the service becomes healthy": (healthy_again, "web has become healthy since the rollback was decided"),
}
"""What may happen between the decision and the first write, with the reason of the hand-over."""

ALLOWED_BY_PERSON = frozenset({"the service becomes healthy"})
"""After these, a rollback that a person has requested is made all the same."""

HEAD = (
    "| after the decision, before the first write | a rollback of Kintsugi | a rollback that a person has requested |\n"
)


def table() -> str:
    """Return the rows of the table in docs/reliability.md."""
    ends = {each: "made" if each in ALLOWED_BY_PERSON else "handed over" for each in REPAIRS}
    rows = [f"| {each} | handed over: *{reason}* | {ends[each]} |" for each, (_, reason) in REPAIRS.items()]
    return "\n".join([HEAD + "|---|---|---|", *rows, ""])


ONE = "- {id: one, run: kubectl cordon one}"


def stage(*, step: str = "", undo: str = "") -> RunBench:
    """Make a run whose rollback is decided at 240 s and held back until 300 s; its first write is a step or the undo of a change."""
    steps = f"\nsteps: [{{id: back, run: {json.dumps(step)}}}]" if step else ""
    bench = RunBench(ONE, rollback=f"after: 4m{steps}")
    bench.pace = timedelta(seconds=10)
    if undo:
        bench.actor.undo_of = lambda _: undone_by(parse(undo, namespace="production"))
    bench.blind(230, 300)
    return bench


def cases(examples: list[str], form: str) -> list[object]:
    return [pytest.param({form: each}, id=f"{form} {each.partition(' -')[0]}") for each in examples]


@pytest.mark.parametrize("repair", REPAIRS)
@pytest.mark.parametrize("form", [*cases(AS_STEP, "step"), *cases(EXAMPLES, "undo")])
async def test_no_changing_verb_writes_over_a_repair(form: dict[str, str], repair: str) -> None:
    make, reason = REPAIRS[repair]
    bench = stage(**form)
    bench.at(270, lambda: make(bench))
    ended = await bench.drive()
    assert bench.effects == ["kubectl cordon one"]
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert ended.reason.startswith(f"not rolled back: {reason}")
    assert "still failing" not in ended.reason.splitlines()[0]


async def test_a_repair_while_the_process_is_away_stays() -> None:
    bench = stage(step="kubectl rollout undo deployment/web")
    assert await bench.drive_until_killed(260)
    bench.at(270, lambda: other_template(bench))
    await bench.sleep_until(400)
    ended = await bench.drive()
    assert (ended.state, bench.effects) == (IncidentState.NEEDS_OPERATOR, ["kubectl cordon one"])


async def test_a_fix_that_is_rolled_out_between_two_steps_of_a_rollback_stays() -> None:
    """Until the rollback itself has changed the template, somebody else may."""
    steps = """\
    after: 10m
    steps:
      - {id: pod, run: kubectl cordon two}
      - {id: wait, for: 1m, expect: 1 == 1}
      - {id: back, run: kubectl rollout undo deployment/web}
    """
    bench = RunBench(ONE, rollback=steps)
    bench.at(630, lambda: other_template(bench))
    ended = await bench.drive()
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert bench.effects == ["kubectl cordon one", "kubectl cordon two"]


@pytest.mark.parametrize(
    ("undo", "made"),
    [
        ("", healthy_again),
        ("kubectl rollout undo deployment/web -n production", other_template),
        ("kubectl set image deployment/web web=web:1 -n production", other_template),
    ],
    ids=["heals", "goes back", "sets an image"],
)
async def test_a_rollback_that_heals_or_changes_the_template_at_its_first_write_makes_the_others_too(
    undo: str, made: Repair
) -> None:
    """That is no repair of somebody else."""
    bench = RunBench(f"{ONE}\n{ONE.replace('one', 'two')}", rollback="after: 10m")
    if undo:
        bench.actor.undo_of = lambda _: undone_by(parse(undo))
    bench.actor.on_change = lambda text: made(bench) if text == (undo or "kubectl uncordon two") else None
    await bench.drive()
    assert bench.effects[2:] == ([undo] * 2 if undo else ["kubectl uncordon two", "kubectl uncordon one"])


def rolled_out_by(command: str, namespace: str, *fields: str) -> bool:
    """Return whether a change that has written these fields counts as a rollout of the workload."""
    service = RunBench(ONE).observed.views["web"].service
    made = encode(parse(command, namespace=namespace))
    change = StepRecord(run="run-1", path="one#0", state=StepState.DONE, command=made, facts={"fields": list(fields)})
    return rollout_verb(change, service) is not None


@pytest.mark.parametrize(
    ("field", "is_rollout"), [("/spec/template/spec/containers/0/env", True), ("/spec/minReadySeconds", False)]
)
def test_a_patch_is_a_rollout_where_it_has_written_the_template(field: str, is_rollout: bool) -> None:
    """What a person rolls out after a patch of something else is theirs."""
    assert rolled_out_by("kubectl patch deployment web -p '{\"spec\":{}}'", "production", field) is is_rollout


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_change_of_another_object_is_no_rollout_of_the_workload(example: str) -> None:
    """Also one that names no single object, as a fetch of a backup."""
    assert not rolled_out_by(example, "elsewhere", "/spec/template/spec/containers/0/env")


@pytest.mark.parametrize("repair", REPAIRS)
async def test_a_person_gets_the_rollback_of_the_workload_that_they_were_shown(repair: str) -> None:
    """A person may roll a healthy service back, but not what was rolled out or created since they saw it."""
    bench = stage(undo="kubectl uncordon one")
    await bench.drive_until_killed(200)
    shown = seen_of(bench.observed.views["web"])
    REPAIRS[repair][0](bench)
    bench.ledger.record = replace(
        bench.ledger.record,
        state=IncidentState.ROLLING_BACK,
        rollback_requested_by="ada",
        workload_decided=shown,
    )
    ended = await bench.drive()
    assert ("kubectl uncordon one" in bench.effects) is (repair in ALLOWED_BY_PERSON), ended.reason


def test_the_page_has_the_table_of_repairs() -> None:
    assert table() in (ROOT / "docs" / "reliability.md").read_text()


async def test_a_change_of_the_run_itself_that_the_watch_shows_late_is_no_repair() -> None:
    """The rollback is decided before the watch has brought what the last step has written."""
    steps = """\
    - {id: change, run: kubectl set image deployment/web web=shop:2}
    - {id: judge, expect: 1 == 2, onFailure: rollback}
    """
    bench = RunBench(steps, rollback="after: 4m\nsteps: [{id: back, run: kubectl cordon one}]")

    def written(_: str) -> None:
        workload = bench.observed.views["web"].workload
        assert workload is not None
        metadata = workload.metadata
        bench.prober.ahead = structs.replace(metadata, generation=metadata.generation + 1)
        bench.at(20, lambda: setattr(bench.prober, "ahead", None))
        bench.at(20, lambda: bench.observed.show(template="ours"))

    bench.actor.on_change = lambda text: written(text) if "image" in text else None
    ended = await bench.drive()
    assert bench.effects[-1] == "kubectl cordon one", ended.reason
