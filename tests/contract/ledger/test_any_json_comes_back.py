"""Whatever JSON a stranger sends comes back from the ledger equal but for secrets, on both databases, wherever it is kept."""

import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kintsugi.expressions import to_json
from kintsugi.ledger import Ledger
from kintsugi.mask import MASK
from kintsugi.model.records import DeadLetter, SignalSource, StepState, UndoRecord
from kintsugi.runner.journal import recalled, storable
from kintsugi.telemetry import SECRETS
from tests.contract.ledger.build import NOW, run_request, signal, start, started, step

MARKS = [f"$kintsugi.{word}" for word in ("", "time", "duration", "bytes", "integer", "map", "future")]
TELLING = ["@time", "@seconds", "@map"]
MEANING = ["x", "5", "2026-03-01T12:00:00+00:00", "36893488147419103232", "eA==", "\\u0000", "\0", "\ud800", ""]
OURS: list[object] = [
    {"$kintsugi.time": "2026-03-01T12:00:00+00:00"},
    {"$kintsugi.duration": "5"},
    {"$kintsugi.bytes": "eA=="},
    {"$kintsugi.integer": "36893488147419103232"},
    {"$kintsugi.map": {"$kintsugi.integer": "x"}},
    {"@time": "2026-03-01T12:00:00+00:00"},
    {"@seconds": 5.0},
    {"@map": {"@seconds": 5.0}},
]
"""What the ledger and the runner themselves write for something else than a map."""

NUMBERS = itertools.count()

anything = st.text(st.characters() | st.characters(categories=["Cs"]) | st.just("\0"))
keys = st.sampled_from(MARKS) | st.sampled_from(TELLING) | anything
leaves = (
    st.sampled_from(OURS)
    | st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(MEANING)
    | anything
)  # what a parser of JSON may give: Python's takes NaN, integers of any size and half a surrogate pair
documents = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=3), max_leaves=12
)
texts = st.sampled_from(MEANING) | anything
labels = st.dictionaries(keys, texts, max_size=3) | st.sampled_from(
    [{"$kintsugi.time": "2026-03-01T12:00:00+00:00"}, {"$kintsugi.bytes": "eA=="}, {"$kintsugi.integer": "x"}]
)
many = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def kept(value: object) -> object:
    """
    Return what equal means: the very value, but for what has no JSON or no place in a database.

    NUL and half a surrogate pair are U+FFFD, NaN and the infinities null; of two names that become one by this the later
    counts.
    """
    match value:
        case str():
            whole = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            return whole.replace("\0", "\N{REPLACEMENT CHARACTER}")
        case float() if not math.isfinite(value):
            return None
        case Mapping():
            return {kept(name): kept(held) for name, held in value.items()}
        case list():
            return [kept(held) for held in value]
        case _:
            return value


def same(one: object, other: object) -> bool:
    """Return whether two documents are equal to the last type and order: 1, 1.0 and true are three values."""
    return json.dumps(one) == json.dumps(other)


@many
@given(st.lists(labels, min_size=1, max_size=4))
async def test_any_labels_and_annotations_come_back(ledger: Ledger, told: list[dict[str, str]]) -> None:
    """A14: a label may be named like a mark of the ledger's own, and have any text."""
    signals = [replace(signal(labels={"a": "b"}), labels=each, annotations=each) for each in told]
    await ledger.signals.accept(signals, NOW)
    found = {each.id: each for each in await ledger.signals.firing()}
    for sent in signals:
        assert same(found[sent.id].labels, kept(SECRETS.labels(sent.labels)))
        assert same(found[sent.id].annotations, kept(SECRETS.labels(sent.annotations)))


@many
@given(st.lists(documents, min_size=1, max_size=4))
async def test_any_document_comes_back_from_a_step_and_from_parameters(ledger: Ledger, sent: list[object]) -> None:
    """A14: results are what services answer; facts, commands and undo are what objects hold."""
    told, service = signal(), f"service-{next(NUMBERS)}"
    await ledger.signals.accept([told], NOW)
    asked = replace(run_request(told, service=service), parameters={"sent": sent})
    run = started(await ledger.run_requests.request_run(asked, start, NOW))
    for number, each in enumerate(sent):
        holding = {"sent": each}
        done = step(
            run,
            f"look#{number}",
            StepState.DONE,
            result=holding,
            facts=holding,
            command=holding,
            undo=UndoRecord(commands=(holding,)),
        )
        for _ in range(2):  # the second time it is recognised as the same
            await ledger.runs.save_step(done, expect=None, now=NOW)
    assert same((await ledger.runs.get(run.id)).parameters, {"sent": kept(sent)})
    for each, found in zip(sent, await ledger.runs.steps(run.id), strict=True):
        undone = found.undo.commands[0] if found.undo is not None else None
        for part in (found.result, found.facts):
            assert same(part, {"sent": kept(SECRETS.value(each))})
        for part in (
            found.command,
            undone,
        ):  # what is carried out is never masked: `effect` refuses what holds a secret
            assert same(part, {"sent": kept(each)})


@many
@given(documents)
async def test_any_answer_is_seen_by_later_steps_after_a_restart(ledger: Ledger, sent: object) -> None:
    """C1: what an expression saw of an answer it sees again."""
    service = f"service-{next(NUMBERS)}"
    run = started(await ledger.run_requests.request_run(run_request(service=service), start, NOW))
    looked = step(run, "look", StepState.DONE, result=storable({"json": sent}))
    await ledger.runs.save_step(looked, expect=None, now=NOW)
    (found,) = await ledger.runs.steps(run.id)
    rest = kept(SECRETS.value(sent))
    assert same(recalled(found.result), {"json": rest})
    assert same(to_json(recalled(found.result)), to_json({"json": rest}))


@many
@given(anything | labels.map(json.dumps))
async def test_any_text_comes_back_from_evidence_and_from_dead_letters(ledger: Ledger, sent: str) -> None:
    """A11, A14."""
    number = next(NUMBERS)
    run = started(await ledger.run_requests.request_run(run_request(service=f"service-{number}"), start, NOW))
    await ledger.evidence.keep(run.id, sent, sent, sent, NOW)
    (evidence,) = await ledger.evidence.of_run(run.id)
    assert (evidence.path, evidence.kind) == (kept(sent),) * 2
    assert evidence.text == kept(SECRETS.text(sent))
    letter = DeadLetter(
        id=f"dead-{number:09d}", source=SignalSource.ALERTMANAGER, received=NOW, reason=sent, excerpt=sent
    )
    await ledger.signals.keep_dead_letters([letter])
    found = {each.id: each for each in await ledger.dead_letters.newest(limit=1000)}[letter.id]
    assert (found.reason, found.excerpt) == (kept(SECRETS.text(sent)),) * 2


@many
@given(documents, texts)
async def test_json_without_a_secret_comes_back_equal_beside_one(ledger: Ledger, sent: object, secret: str) -> None:
    """E4: what is masked is the secret and no more."""
    service = f"service-{next(NUMBERS)}"
    run = started(await ledger.run_requests.request_run(run_request(service=service), start, NOW))
    holding = {"env": [{"name": "PLACE", "value": secret}], "password": secret, "rest": sent}
    await ledger.runs.save_step(step(run, "look", StepState.DONE, result=holding), expect=None, now=NOW)
    (found,) = await ledger.runs.steps(run.id)
    assert found.result is not None
    place = {"name": "PLACE", "value": MASK if secret else ""}
    assert (found.result["env"], found.result["password"]) == ([place], MASK)
    if SECRETS.value(sent) == sent:
        assert same(found.result["rest"], kept(sent))


async def test_an_answer_that_is_nested_deeper_than_is_kept_is_known_to_have_come_and_no_more(ledger: Ledger) -> None:
    """The limit is told, as that of the size is; a run does not end by it."""
    run = started(await ledger.run_requests.request_run(run_request(), start, NOW))
    for depth in (100, 250, 300, 5000):
        sent: object = "deep"
        for _ in range(depth):
            sent = {MARKS[1]: sent}
        result = storable({"json": sent})
        await ledger.runs.save_step(step(run, f"look#{depth}", StepState.DONE, result=result), expect=None, now=NOW)
        assert (result is None) == (depth > 100)
    assert [each.result is None for each in await ledger.runs.steps(run.id)] == [False, True, True, True]
