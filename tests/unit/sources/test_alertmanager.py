"""What becomes of a body: signals for what can be read, dead letters with a reason for what cannot, which may be sent in again (A13)."""

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.json_limits import DEEPEST, is_too_deep
from kintsugi.model.records import DeadLetter, SignalSource, SignalStatus, Target
from kintsugi.model.rules import RuleSource
from kintsugi.sources.alertmanager import CURRENT_FOR, LARGEST_PAYLOAD, decode, fingerprint, reread
from tests.unit.factories import NOW as THEN
from tests.unit.factories import moment
from tests.unit.sources.webhooks import NOW, alert, captured, webhook


@pytest.mark.parametrize(
    ("name", "alerts", "status", "truncated"),
    [
        ("from-real-prometheus-firing", 1, SignalStatus.FIRING, 0),
        ("group1-firing", 1, SignalStatus.FIRING, 0),
        ("group1-resolved", 1, SignalStatus.RESOLVED, 0),
        ("repeat_interval-firing", 1, SignalStatus.FIRING, 0),
        ("max_alerts5-of-12-firing", 5, SignalStatus.FIRING, 7),
        ("group1000-firing", 1000, SignalStatus.FIRING, 0),
    ],
)
def test_webhooks_of_a_real_alertmanager_are_read(name: str, alerts: int, status: SignalStatus, truncated: int) -> None:
    delivery = decode(captured(name), NOW)

    assert len(delivery.signals) == alerts
    assert {signal.status for signal in delivery.signals} == {status}
    assert delivery.truncated == truncated
    assert not delivery.dead_letters
    assert not delivery.unreadable


def test_a_webhook_of_grafana_is_read_as_one_of_alertmanager() -> None:
    """Its body has more fields: https://grafana.com/docs/grafana/latest/alerting, webhook notifier."""
    body = webhook(alert(values={"B": 22.5}, dashboardURL="", silenceURL="http://grafana/alerting"), version="1")
    delivery = decode(body.replace(b"{", b'{"orgId": 1, "title": "[FIRING:1]", "state": "alerting", ', 1), NOW)
    assert len(delivery.signals) == 1
    assert not delivery.dead_letters


def test_an_alert_becomes_a_signal_whole() -> None:
    (signal,) = decode(captured("group1-firing"), NOW).signals

    assert (signal.source, signal.kind, signal.key) == (SignalSource.ALERTMANAGER, RuleSource.ALERT, "7dec52e4b6d7e0df")
    assert signal.began == datetime(2026, 11, 24, 13, 32, 27, 755000, tzinfo=UTC)
    assert signal.ended is None
    assert signal.received == NOW
    assert signal.target == Target(kind="Pod", namespace="team-0", name="web-7d4b9c6f5-00000")
    assert signal.labels["severity"] == "warning"
    assert signal.annotations["summary"] == "Pod is crash looping."


def test_every_signal_has_an_id_of_its_own() -> None:
    """A thousand alerts at the same millisecond, from two deliveries."""
    ids = [signal.id for _ in range(2) for signal in decode(captured("group1000-firing"), NOW).signals]

    assert len(set(ids)) == 2000


def test_the_fingerprint_is_computed_as_alertmanager_does_when_it_is_missing() -> None:
    for signal in decode(captured("group1000-firing"), NOW).signals:
        assert fingerprint(signal.labels) == signal.key

    (without,) = decode(webhook(alert(fingerprint=None)), NOW).signals
    assert without.key == fingerprint(without.labels)


@pytest.mark.parametrize(
    "forged", ["unhealthy-pods/0b5c1f1e-0000", "a", "A" * 16, "a" * 17, "a" * 16 + "\n", "\u0661" * 16, ""]
)
def test_a_fingerprint_that_is_none_is_computed_anew(forged: str) -> None:
    """P9: a key of the watch is RULE/UID, and no alert may have one."""
    (signal,) = decode(webhook(alert(fingerprint=forged)), NOW).signals
    assert signal.key == fingerprint(signal.labels)


def test_a_bad_alert_does_not_spoil_its_group() -> None:
    """Covers A12: all or nothing would lose the whole group for good."""
    delivery = decode(webhook(alert(fingerprint="a" * 16), alert(startsAt="soon"), alert(fingerprint="c" * 16)), NOW)

    assert [signal.key for signal in delivery.signals] == ["a" * 16, "c" * 16]
    (letter,) = delivery.dead_letters
    assert letter.reason == "alert: startsAt: 'soon' is not a time: write 2026-01-31T12:00:00Z"
    assert "soon" in letter.excerpt
    assert not delivery.unreadable


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (5, "Expected `object`, got `int`"),
        (None, "Expected `object`, got `null`"),
        (alert(labels=None), "missing required field `labels`"),
        (alert(labels={}), "labels: empty"),
        (alert(labels={"a": 5}), "Expected `str`, got `int`"),
        (alert(labels=["a"]), "Expected `object`, got `array`"),
        (alert(status="smouldering"), "Invalid enum value 'smouldering'"),
        (alert(status=None), "missing required field `status`"),
        (alert(startsAt=None), "missing required field `startsAt`"),
        (alert(startsAt="2026-11-24T13:00:00"), "startsAt: '2026-11-24T13:00:00' has no time zone"),
        (alert(startsAt="20261124"), "startsAt: '20261124' has no time zone"),
        (alert(startsAt="0001-01-01T00:00:00+12:00"), "outside of the years 1 to 9999"),
        (alert(endsAt=5), "Expected `str`, got `int`"),
        (alert(labels={"a": "x" * 70_000}), "labels: 70001 characters"),
    ],
)
def test_a_bad_alert_is_a_dead_letter_that_says_why(bad: object, reason: str) -> None:
    """Covers A11."""
    delivery = decode(webhook(bad), NOW)

    assert delivery.signals == ()
    assert reason in delivery.dead_letters[0].reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "Input data was truncated"),
        (b"null", "Expected `object`, got `null`"),
        (b"[]", "Expected `object`, got `array`"),
        (b'{"version": "4"', "Input data was truncated"),
        (webhook(alerts=None), "missing required field `alerts`"),
        (webhook(alerts={}), "Expected `array`, got `object`"),
        (webhook(version=None), "missing required field `version`"),
        (webhook(version="5"), "version '5' of the webhook: only '4'"),
        (webhook(version=4), "Expected `str`, got `int`"),
        (webhook(truncatedAlerts="7"), "Expected `int`, got `str`"),
        (webhook(alert()) + b"x", "JSON is malformed"),
        (webhook(alert(x="%")).replace(b'"%"', b"NaN"), "JSON is malformed"),
        (b"[" * 100_000, "nested deeper than 32 levels"),
        (b'{"alerts": ' + b'{"a": ' * 100_000, "nested deeper than 32 levels"),
    ],
)
def test_a_body_that_is_no_webhook_is_named_as_such(body: bytes, reason: str) -> None:
    """Covers A11 and A13; nothing of it raises."""
    delivery = decode(body, NOW)

    assert delivery.signals == ()
    assert reason in delivery.unreadable
    assert len(delivery.dead_letters) == 1


def test_unknown_fields_are_skipped_whatever_they_hold() -> None:
    body = webhook(alert(extra={"deep": [1, {"a": None}]}, big=10**400), more=[1, 2], newField="x")

    assert len(decode(body, NOW).signals) == 1


def test_the_last_of_a_key_written_twice_counts() -> None:
    """Covers A14: the rule that JSON parsers share, and the same answer each time."""
    body = webhook(alert()).replace(b'"fingerprint"', b'"fingerprint": "first", "fingerprint"')

    assert decode(body, NOW).signals[0].key == "0123456789abcdef"


@pytest.mark.parametrize(
    ("escape", "text"),
    [
        (r"\ud800", "�"),
        (r"\udfff", "�"),
        (r"\ud800A", "�A"),
        (r"\ud83d\ude00", "😀"),
        (r"\\ud800", r"\ud800"),
        (r"\u0000", "\0"),
    ],
)
def test_half_a_character_is_replaced_and_costs_no_alert(escape: str, text: str) -> None:
    """Covers A14; NUL is left to the ledger, which knows what its database can hold."""
    body = webhook(alert(labels={"a": "%"}), alert()).replace(b'"%"', f'"{escape}"'.encode())

    delivery = decode(body, NOW)

    assert [signal.labels.get("a") for signal in delivery.signals] == [text, None]


def test_bad_utf8_costs_only_its_own_alert() -> None:
    body = webhook(alert(labels={"a": "%"}), alert()).replace(b'"%"', b'"\xff"')

    delivery = decode(body, NOW)

    assert len(delivery.signals) == 1
    assert "utf-8" in delivery.dead_letters[0].reason


@pytest.mark.parametrize(
    ("written", "microsecond"),
    [
        ("2026-11-24T13:00:00Z", 0),
        ("2026-11-24T13:00:00.7Z", 700_000),
        ("2026-11-24T13:00:00.108Z", 108_000),
        ("2026-11-24T13:00:00.75587975Z", 755_000),
        ("2026-11-24T13:00:00.999999999Z", 999_000),
        ("2026-11-24T15:00:00.5+02:00", 500_000),
    ],
)
def test_a_time_is_cut_to_milliseconds_which_is_all_that_the_api_tells(written: str, microsecond: int) -> None:
    """The webhook writes up to 9 digits and the API 3: the same episode must begin at the same moment."""
    (signal,) = decode(webhook(alert(startsAt=written)), NOW).signals

    assert signal.began == datetime(2026, 11, 24, 13, 0, 0, microsecond, tzinfo=UTC)


@pytest.mark.parametrize("end", ["0001-01-01T00:00:00Z", "", None, "2026-11-24T14:00:01Z", "2026-11-24T13:30:00Z"])
def test_an_alert_fires_while_its_end_is_unknown_or_to_come_and_is_resolved_once_it_is_past(end: str | None) -> None:
    """Covers A21: a captured body that is sent again later starts nothing."""
    (signal,) = decode(webhook(alert(endsAt=end)), NOW).signals
    ended = (SignalStatus.RESOLVED, NOW - timedelta(minutes=30))
    assert (signal.status, signal.ended) == (ended if end == "2026-11-24T13:30:00Z" else (SignalStatus.FIRING, None))


@pytest.mark.parametrize("end", ["2026-11-24T13:30:00Z", "2026-11-24T14:30:00Z"])
def test_an_end_is_not_compared_with_a_clock_that_is_in_doubt(end: str) -> None:
    """C9: the sender's word counts: whether it fires, and when it ended."""
    (firing,) = decode(webhook(alert(endsAt=end)), NOW, timed=False).signals
    (resolved,) = decode(webhook(alert(endsAt=end, status="resolved")), NOW, timed=False).signals

    assert (firing.status, firing.ended) == (SignalStatus.FIRING, None)
    assert (resolved.status, resolved.ended) == (SignalStatus.RESOLVED, datetime.fromisoformat(end))


@pytest.mark.parametrize(
    ("labels", "target"),
    [
        ({"namespace": "shop", "pod": "web-1"}, Target(kind="Pod", namespace="shop", name="web-1")),
        (
            {"namespace": "shop", "deployment": "web", "pod": "exporter-1"},
            Target(kind="Deployment", namespace="shop", name="web"),
        ),
        ({"namespace": "shop", "statefulset": "db"}, Target(kind="StatefulSet", namespace="shop", name="db")),
        (
            {"namespace": "shop", "persistentvolumeclaim": "data-0", "pod": "db-0"},
            Target(kind="PersistentVolumeClaim", namespace="shop", name="data-0"),
        ),
        ({"node": "n1"}, Target(kind="Node", namespace="", name="n1")),
        ({"pod": "web-1"}, None),
        ({"namespace": "shop", "pod": ""}, None),
        ({"namespace": "shop"}, None),
    ],
)
def test_labels_hint_at_the_object(labels: dict[str, str], target: Target | None) -> None:
    """Covers A20: a hint without a uid, looked up again in the cluster before anything is believed."""
    (signal,) = decode(webhook(alert(labels=labels)), NOW).signals

    assert signal.target == target


def test_the_annotations_of_a_very_large_alert_are_cut_and_say_so() -> None:
    many = {f"note-{number:03}": "x" * (2000 if number else 3) for number in range(100)}
    [signal] = decode(webhook(alert(annotations=many)), NOW).signals
    assert signal.labels["alertname"] == "PodDown"
    assert len(signal.annotations) == 66
    assert signal.annotations["note-000"] == "xxx"
    assert signal.annotations["note-001"] == "x" * 1000 + "… (cut off after 1000 of 2000 characters)"
    assert signal.annotations["kintsugi.dev/left-out"] == "35 more annotations"


def test_dead_letters_are_bounded_and_hold_no_secrets() -> None:
    bad = alert(status="x", annotations={"password": "hunter2", "text": "y" * 10_000})

    letters = decode(webhook(*[bad] * 500), NOW).dead_letters

    assert len(letters) == 21
    assert letters[-1].reason == "480 more alerts of the same delivery"
    assert all(len(letter.excerpt) <= 2000 for letter in letters)
    assert not any("hunter2" in letter.excerpt for letter in letters)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(st.just("good") | _JSON, max_size=8))
def test_every_alert_of_a_webhook_is_a_signal_or_a_dead_letter(parts: list[Any]) -> None:
    """Nothing that came is unaccounted for (P9), whatever the others were (A12)."""
    alerts = [alert(fingerprint=f"{number:016x}") if part == "good" else part for number, part in enumerate(parts)]

    delivery = decode(webhook(*alerts), NOW)

    assert len(delivery.signals) == parts.count("good")
    assert len(delivery.signals) + len(delivery.dead_letters) == len(parts)


def test_bad_alerts_of_one_delivery_are_kept_whole_as_far_as_there_is_room() -> None:
    """A12: each as a delivery of its own that can be sent in again; a flood of them fills no disk."""
    half = "x" * (LARGEST_PAYLOAD // 2 - 1000)
    letters = decode(webhook(*({"status": "firing", "note": f"{n}{half}"} for n in range(4))), NOW).dead_letters

    assert [letter.payload is not None for letter in letters] == [True, True, False, False]
    for letter in letters[:2]:
        assert letter.payload is not None
        (again,) = decode(letter.payload, NOW).dead_letters
        assert (again.reason, again.payload) == (letter.reason, letter.payload)


def test_a_bad_alert_with_a_secret_is_not_kept_whole() -> None:
    """Masked it would be another alert."""
    (letter,) = decode(webhook({"status": "firing", "note": "Bearer abcdefgh12345678"}), NOW).dead_letters

    assert letter.payload is None
    assert "abcdefgh" not in letter.excerpt


def test_a_count_of_left_out_alerts_that_no_metric_can_hold_is_bounded() -> None:
    """A7, B16: it ended the delivery by an error, whose alerts were kept and whose sender came again for ever."""
    assert decode(webhook(alert(), truncatedAlerts=10**400), NOW).truncated == 1_000_000_000
    assert decode(webhook(alert(), truncatedAlerts=-1), NOW).truncated == 0


NO_END = "0001-01-01T00:00:00Z"


def known_alert(name: str, *, status: str = "firing", ends: str = NO_END) -> dict[str, object]:
    """Return an alert that began an hour ago, as a webhook has it."""
    began = moment(hours=-1).isoformat()
    return {"status": status, "labels": {"alertname": name}, "annotations": {}, "startsAt": began, "endsAt": ends}


def letter(
    *alerts: dict[str, object], received: datetime = THEN, source: SignalSource = SignalSource.ALERTMANAGER
) -> DeadLetter:
    """Return a letter with these alerts."""
    content: object = {"version": "4", "alerts": alerts}
    if source is SignalSource.POLL:
        content = [{**each, "status": {"state": "active"}} for each in alerts]
    return DeadLetter(
        id="dead-1", source=source, received=received, reason="?", excerpt="", payload=json.dumps(content).encode()
    )


@pytest.mark.parametrize("source", [SignalSource.ALERTMANAGER, SignalSource.POLL])
@pytest.mark.parametrize(
    ("age", "fires"), [(timedelta(0), 1), (CURRENT_FOR, 1), (CURRENT_FOR + timedelta(seconds=1), 0)]
)
def test_an_alert_that_fired_when_its_letter_came_in_fires_for_as_long_as_that_is_news(
    source: SignalSource, age: timedelta, fires: int
) -> None:
    """P6: of an older one nobody knows, and Alertmanager sends it again if it does."""
    read = reread(letter(known_alert("Odd"), source=source), THEN + age, timed=True)
    assert [each.status for each in read.signals] == [SignalStatus.FIRING] * fires
    assert (read.stale, read.unreadable) == (1 - fires, "")


def test_an_age_that_our_clock_cannot_tell_counts_as_old() -> None:
    """P6."""
    assert reread(letter(known_alert("Odd")), THEN, timed=False).stale == 1


def test_an_alert_whose_end_has_passed_since_its_letter_came_in_has_ended() -> None:
    end = moment(minutes=2)
    (signal,) = reread(letter(known_alert("Odd", ends=end.isoformat())), moment(minutes=3), timed=True).signals
    assert (signal.status, signal.ended) == (SignalStatus.RESOLVED, end)


def test_an_end_is_taken_at_any_age_and_what_fired_beside_it_is_left_out() -> None:
    end = moment(minutes=-5)
    both = letter(known_alert("Gone", status="resolved", ends=end.isoformat()), known_alert("Odd"))
    read = reread(both, moment(hours=72), timed=True)
    assert [(each.labels["alertname"], each.ended) for each in read.signals] == [("Gone", end)]
    assert read.stale == 1


def test_a_letter_that_was_not_kept_whole_is_not_sent_in_again() -> None:
    lost = replace(letter(), payload=None)
    assert reread(lost, THEN, timed=True).unreadable.startswith("it was not stored whole")


def nested(depth: int, leaf: Any = 1) -> Any:
    """Wrap a leaf in so many lists and objects, in turns."""
    for level in range(depth):
        leaf = [leaf] if level % 2 else {"a": leaf}
    return leaf


def depth_of(value: Any) -> int:
    """Return the depth the slow way."""
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


@pytest.mark.parametrize("filler", [[], [{}] * 200, ["]"] * 200, ['"]\\'] * 200, ["[[[{"] * 200])
@pytest.mark.parametrize("depth", [1, DEEPEST - 1, DEEPEST, DEEPEST + 1, 60])
def test_the_limit_is_exact_whatever_stands_beside(depth: int, filler: list[object]) -> None:
    text = json.dumps(nested(depth - 1, [filler, filler] if depth > 2 else 1)).encode()

    assert is_too_deep(text) == (depth_of(json.loads(text)) > DEEPEST)


_TEXT = st.text(alphabet='[]{}"\\n,: u0', max_size=12)
_NESTED = st.recursive(
    _TEXT | st.integers(0, 9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=40,
)


@given(st.integers(0, 45), _NESTED, st.lists(_NESTED, max_size=30))
def test_the_depth_agrees_with_a_parser_on_all_json(depth: int, leaf: Any, siblings: list[Any]) -> None:
    value = [*siblings, nested(depth, leaf), *siblings]
    text = json.dumps(value).encode()

    assert is_too_deep(text) == (depth_of(value) > DEEPEST)


def test_closers_inside_of_strings_hide_nothing() -> None:
    text = b'["]",' * 5000 + b"1" + b"]" * 5000

    assert is_too_deep(text)


@pytest.mark.parametrize("unit", [b"[", b"{", b'"', b"\\", b'\\"', b'{"a":', b"[[]", b'""[', b"]"])
@pytest.mark.long
def test_a_large_hostile_body_is_judged_in_time_that_grows_with_its_length(unit: bytes) -> None:
    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        began = time.thread_time()
        is_too_deep(text)
        return time.thread_time() - began

    small, large = min(seconds(2**18) for _ in range(5)), min(seconds(2**21) for _ in range(3))
    assert large < 40 * small + 0.01
