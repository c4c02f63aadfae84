"""Whatever text or JSON a stranger sends comes back equal but for secrets, on both databases, wherever it is kept; and no secret is stored (A14, E4)."""

import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select

from kintsugi.expressions import to_json
from kintsugi.ledger import Ledger
from kintsugi.ledger.store.tables import metadata
from kintsugi.mask import MASK
from kintsugi.model.records import (
    IncidentState,
    KeptDiagnosis,
    Occasion,
    Pause,
    PauseScope,
    StepState,
    UndoRecord,
)
from kintsugi.runner.journal import recalled, storable
from kintsugi.sources.alertmanager import decode
from kintsugi.telemetry import SECRETS
from kubeobjects.lines import line, lines
from tests.contract.ledger.build import (
    MINUTE,
    NOW,
    begin,
    dead_letter,
    diagnosis,
    request,
    signal,
    started,
    step,
    write,
)
from tests.harness.ledger_rows import beside
from tests.harness.ledgers import keep_evidence, newest_dead_letters
from tests.unit.sources.webhooks import alert, webhook

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
times = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the strategy adds the zone
OBJECT = {"alertname": "PodDown", "namespace": "shop", "pod": "web-1"}
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
@given(st.lists(labels, min_size=1, max_size=4), times)
async def test_what_is_known_of_a_new_alert_is_what_is_read(
    ledger: Ledger, told: list[dict[str, str]], began: datetime
) -> None:
    """P9: the pipeline evaluates it without reading it."""
    named = [alert(labels={**each, **OBJECT}, annotations=each, startsAt=began.isoformat()) for each in told]
    keyed = [each | {"fingerprint": f"{next(NUMBERS):016x}"} for each in named]
    signals = decode(webhook(*keyed), NOW + timedelta(microseconds=next(NUMBERS))).signals
    assert len(signals) == len(told)
    opened = [each for each, _ in (await ledger.signals.accept(signals, NOW, lambda _: None)).opened]
    read = {each.id: each for each in await ledger.signals.firing()}
    assert opened == [read[each.id] for each in opened]
    assert {each.id for each in opened} == {each.id for each in signals if read[each.id] == each}


@many
@given(st.lists(documents, min_size=1, max_size=4))
async def test_any_document_comes_back_from_a_step_and_from_parameters(ledger: Ledger, sent: list[object]) -> None:
    """A14: results are what services answer; facts, commands and undo are what objects hold."""
    run = started(await request(ledger, service=f"service-{next(NUMBERS)}", parameters={"sent": sent}))
    for number, each in enumerate(sent):
        holding = {"sent": each}
        kinds = {"result": holding, "facts": holding, "command": holding, "undo": UndoRecord(commands=(holding,))}
        done = step(run, f"look#{number}", StepState.DONE, **kinds)
        for _ in range(2):  # the second time it is recognised as the same
            await write(ledger, done)
    assert same((await ledger.incidents.run(run.id)).parameters, {"sent": kept(sent)})
    for each, found in zip(sent, await ledger.incidents.steps(run.id), strict=True):
        undone = found.undo.commands[0] if found.undo is not None else None
        for part in (found.result, found.facts):
            assert same(part, {"sent": kept(SECRETS.value(each))})
        for part in (found.command, undone):  # carried out, so never masked: `effect` refuses what holds a secret
            assert same(part, {"sent": kept(each)})


@many
@given(documents)
async def test_any_answer_is_seen_by_later_steps_after_a_restart(ledger: Ledger, sent: object) -> None:
    """C1: what an expression saw of an answer it sees again."""
    run = started(await request(ledger, service=f"service-{next(NUMBERS)}"))
    looked = step(run, "look", StepState.DONE, result=storable({"json": sent}))
    await write(ledger, looked)
    (found,) = await ledger.incidents.steps(run.id)
    rest = kept(SECRETS.value(sent))
    assert same(recalled(found.result), {"json": rest})
    assert same(to_json(recalled(found.result)), to_json({"json": rest}))


@many
@given(anything | labels.map(json.dumps))
async def test_any_text_comes_back_from_evidence_and_from_dead_letters(ledger: Ledger, sent: str) -> None:
    """A11, A14."""
    number = next(NUMBERS)
    run = started(await request(ledger, service=f"service-{number}"))
    await keep_evidence(ledger, run.id, sent, sent, sent, NOW)
    (evidence,) = await ledger.incidents.evidence_of(run.id)
    assert (evidence.path, evidence.kind) == (kept(sent),) * 2
    assert evidence.text == kept(SECRETS.text(sent))
    letter = dead_letter(f"dead-{number:09d}", sent)
    await ledger.signals.keep_dead_letters([letter])
    found = {each.id: each for each in await newest_dead_letters(ledger, limit=1000)}[letter.id]
    assert (found.reason, found.excerpt) == (kept(SECRETS.text(sent)),) * 2


@many
@given(documents, texts)
async def test_json_without_a_secret_comes_back_equal_beside_one(ledger: Ledger, sent: object, secret: str) -> None:
    """E4: what is masked is the secret and no more."""
    run = started(await request(ledger, service=f"service-{next(NUMBERS)}"))
    holding = {"env": [{"name": "PLACE", "value": secret}], "password": secret, "rest": sent}
    await write(ledger, step(run, "look", StepState.DONE, result=holding))
    (found,) = await ledger.incidents.steps(run.id)
    assert found.result is not None
    place = {"name": "PLACE", "value": MASK if secret else ""}
    assert (found.result["env"], found.result["password"]) == ([place], MASK)
    if SECRETS.value(sent) == sent:
        assert same(found.result["rest"], kept(sent))


async def test_an_answer_that_is_nested_deeper_than_is_kept_is_known_to_have_come_and_no_more(ledger: Ledger) -> None:
    """The limit is told, as that of the size is; a run does not end by it."""
    run = started(await request(ledger))
    for depth in (100, 250, 300, 5000):
        sent: object = "deep"
        for _ in range(depth):
            sent = {MARKS[1]: sent}
        result = storable({"json": sent})
        await write(ledger, step(run, f"look#{depth}", StepState.DONE, result=result))
        assert (result is None) == (depth > 100)
    assert [each.result is None for each in await ledger.incidents.steps(run.id)] == [False, True, True, True]


STRANGE = "nul \0, lone \ud800 and \udfff, pair \U0001f3fa, quote ' \" \\u0000"
KEPT = "nul \ufffd, lone \ufffd and \ufffd, pair \U0001f3fa, quote ' \" \\u0000"


async def test_strange_text_is_kept_everywhere(ledger: Ledger) -> None:
    """A14: NUL and lone surrogates are replaced, all else stays."""
    told = replace(signal(STRANGE), labels={STRANGE: STRANGE}, annotations={"a": STRANGE}, rule=STRANGE)
    first = await ledger.signals.accept([told], NOW)
    again = await ledger.signals.accept([replace(signal(STRANGE), labels={STRANGE: STRANGE})], NOW)
    assert (first.new, again.repeated) == (1, 1)
    (kept,) = await ledger.signals.due(NOW)
    assert (kept.key, kept.rule, kept.labels, kept.annotations) == (KEPT, KEPT, {KEPT: KEPT}, {"a": KEPT})


async def test_a_reason_has_line_breaks_of_our_own_alone(ledger: Ledger) -> None:
    forged, now = "no\nUndo commands:\n  curl x | sh\u2028$", NOW + MINUTE
    text = lines([line("why"), line(f"  {forged}")])
    first, second = await begin(ledger, "web"), await begin(ledger, "api")
    await ledger.incidents.move_run(first.id, IncidentState.NEEDS_OPERATOR, forged, NOW)
    await ledger.incidents.move_run(second.id, IncidentState.NEEDS_OPERATOR, text, now)
    found = [each.text for each in await ledger.outbox.due_notices(now)]
    shown = "no Undo commands:   curl x | sh $"
    assert found == [shown, f"why\n  {shown}"]
    assert [(await ledger.incidents.get(each.incident)).reason for each in (first, second)] == found


KNOWN = "canary-that-was-loaded"
PLACED = "canary of a place"
SHAPED = "canary-of-a-shape"
SAID = f"it said password={SHAPED} and {KNOWN} at http://ana:{SHAPED}@web/"
DEPLOYMENT = {
    "kind": "Deployment",
    "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": PLACED}},
    "spec": {"template": {"spec": {"containers": [{"name": "web", "env": [{"name": "PLAIN", "value": PLACED}]}]}}},
}


async def content(ledger: Ledger) -> str:
    """Read every value of every table as it is stored."""

    def read(connection: Connection) -> list[str]:
        return [str(tuple(row)) for table in metadata.sorted_tables for row in connection.execute(select(table))]

    return "\n".join(await beside(ledger, read))


async def test_no_canary_is_in_any_table_whichever_way_it_came(ledger: Ledger) -> None:
    SECRETS.register(KNOWN)
    annotations = {"summary": SAID, "password": PLACED}
    told = replace(signal(), labels={"alertname": "A", "url": SAID, "token": PLACED}, annotations=annotations)
    await ledger.signals.accept([told], NOW)
    run = started(await request(ledger, told))
    looked = step(
        run,
        "look",
        StepState.DONE,
        text=f"curl http://ana:{SHAPED}@web/",
        error=SAID,
        why=SAID,
        result={"item": DEPLOYMENT, "lines": [SAID], "headers": {"Set-Cookie": PLACED}, "json": {"password": PLACED}},
        facts={"items": [{"kind": "", "key": repr(SAID), "value": SAID}], "former": {"note": SAID}},
        undo=UndoRecord(note=SAID, texts=(SAID,)),
    )
    await write(ledger, looked)
    await write(ledger, looked)  # recognised as the same, although it is stored masked
    await keep_evidence(ledger, run.id, "look", "logs", SAID, NOW)
    found = diagnosis(f"web: {SAID}", text=SAID)
    await ledger.incidents.keep_diagnosis(
        KeptDiagnosis(incident=run.incident, occasion=Occasion.OPENED, diagnosis=found)
    )
    await ledger.signals.keep_dead_letters([dead_letter("dead-1", SAID)])
    await ledger.people.pause(Pause(id="pause-1", scope=PauseScope.GLOBAL, who="ana", why=SAID, since=NOW))
    await ledger.outbox.put_daemon_notice(SAID, NOW)
    await ledger.outbox.put_daemon_notice(SAID, NOW + MINUTE)
    await ledger.incidents.move_run(run.id, IncidentState.NEEDS_OPERATOR, SAID, NOW)
    stored = await content(ledger)
    for canary in (KNOWN, PLACED, SHAPED):
        assert canary not in stored
    assert stored.count(MASK) >= 20
    ours = [each for each in await ledger.outbox.due_notices(NOW + timedelta(hours=1)) if each.incident is None]
    assert len(ours) == 1, "the same words were said twice, since they are stored otherwise"


async def test_a_command_that_may_be_carried_out_again_is_stored_as_it_is(ledger: Ledger) -> None:
    """P8: a command that was masked would do something else; `effect` keeps secrets out of it."""
    run = started(await request(ledger))
    command = {"command": "Patch", "patch": '{"spec":{"template":{"password":"x"}}}'}
    facts = {"uid": "token=not-one", "then": [command], "mark": "token=neither"}
    made = step(run, "do#0", StepState.DONE, command=command, facts=facts, undo=UndoRecord(commands=(command,)))
    await write(ledger, made)
    (found,) = await ledger.incidents.steps(run.id)
    assert (found.command, found.facts, found.undo) == (command, facts, UndoRecord(commands=(command,)))
