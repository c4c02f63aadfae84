"""Any text comes back from the ledger as it went in; and where a ledger is."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kintsugi.errors import LedgerError
from kintsugi.ledger.store.engines import file_of, parse_url
from kintsugi.ledger.store.texts import LONGEST_KEY, clean, clean_key, dump, dump_labels, load, load_labels
from kintsugi.model.records import Target
from kintsugi.telemetry import SECRETS

surrogates = st.characters(categories=["Cs"])
any_text = st.text(st.characters() | surrogates | st.just("\0"))
storable = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | storable
    | st.binary()
    | st.datetimes(timezones=st.just(UTC))
    | st.timedeltas()
)
MARKS = [f"$kintsugi.{word}" for word in ("", "time", "duration", "bytes", "integer", "map", "later")]
names = storable | st.sampled_from(MARKS)
values = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(names, inner, max_size=3), max_leaves=12)
like_ours = st.sampled_from(["x", "5", "2026-03-01T12:00:00", "2026-03-01T12:00:00+00:00", "eA==", "%", "9" * 5000])
documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | storable | like_ours,
    lambda inner: st.lists(inner) | st.dictionaries(names, inner, max_size=2),
    max_leaves=12,
)


@given(values)
@example([datetime(2026, 3, 1, 12, 0, 0, 1, tzinfo=UTC)])  # the order within a second matters
@example({"$kintsugi.time": "not a time", "other": 1})
@example({"$kintsugi.integer": "x"})
@example({"$kintsugi.time": "2026-03-01T12:00:00+00:00"})
@example({"$kintsugi.map": {"$kintsugi.map": {"$kintsugi.bytes": "eA=="}}})
@example({"$kintsugi.later": [{"$kintsugi.integer": 2**70}]})
def test_a_value_comes_back_as_it_went_in(value: object) -> None:
    """A14: integers of any size, times, durations and bytes; a label or an answer that looks like a mark of ours is a map."""
    assert load(dump(value)) == value


@given(any_text)
def test_cleaned_text_can_be_stored_and_cleaning_again_changes_nothing(text: str) -> None:
    """A14."""
    cleaned = clean(text)
    assert "\0" not in cleaned
    cleaned.encode()
    assert clean(cleaned) == cleaned


@given(storable)
def test_text_that_can_be_stored_stays_as_it_is(text: str) -> None:
    """Nothing else is touched."""
    assert clean(text) == text


@given(st.dictionaries(any_text, any_text))
def test_any_mapping_of_text_can_be_written(mapping: dict[str, str]) -> None:
    """A14: labels and annotations."""
    assert "\\u0000" not in dump(mapping).replace("\\\\", "")
    load(dump(mapping))


def test_a_value_without_json_is_written_as_the_nearest_thing() -> None:
    """NaN is no number; tuples and frozen mappings are lists and mappings."""
    value = {"nan": float("nan"), "items": (1, 2), "frozen": MappingProxyType({"a": timedelta(seconds=1)})}
    assert load(dump(value)) == {"nan": None, "items": [1, 2], "frozen": {"a": timedelta(seconds=1)}}


def test_a_value_that_cannot_be_kept_is_refused() -> None:
    """A fault of ours is said, not stored."""
    with pytest.raises(TypeError):
        dump({"object": object()})


@given(documents)
def test_json_that_was_written_by_anybody_can_be_read(document: object) -> None:
    """What is no mark of ours, or one of a version that we do not know, stays what it is."""
    load(orjson.dumps(document).decode())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"$kintsugi.integer":"x"}', {"$kintsugi.integer": "x"}),
        ('{"$kintsugi.integer":"7"}', {"$kintsugi.integer": "7"}),
        ('{"$kintsugi.integer":"36893488147419103232"}', 2**65),
        ('{"$kintsugi.time":"2026-03-01T12:00:00"}', {"$kintsugi.time": "2026-03-01T12:00:00"}),
        ('{"$kintsugi.time":"2026-03-01"}', {"$kintsugi.time": "2026-03-01"}),
        ('{"$kintsugi.time":["2026-03-01"]}', {"$kintsugi.time": ["2026-03-01"]}),
        ('{"$kintsugi.duration":"1e9"}', {"$kintsugi.duration": "1e9"}),
        ('{"$kintsugi.duration":"99999999999999999999"}', {"$kintsugi.duration": "99999999999999999999"}),
        ('{"$kintsugi.bytes":"eA"}', {"$kintsugi.bytes": "eA"}),
        ('{"$kintsugi.map":{"a":1}}', {"$kintsugi.map": {"a": 1}}),
        ('{"$kintsugi.later":{"$kintsugi.bytes":"eA=="}}', {"$kintsugi.later": b"x"}),
    ],
)
def test_a_mark_counts_only_as_it_is_written(text: str, value: object) -> None:
    """Ledgers of before marks were kept apart hold those of strangers."""
    assert load(text) == value


@given(st.dictionaries(any_text | st.sampled_from(MARKS), any_text))
@example({"$kintsugi.time": "2026-03-01T12:00:00+00:00"})
@example({"$kintsugi.duration": "1000000"})
@example({"$kintsugi.bytes": "eA=="})
@example({"$kintsugi.integer": str(2**70)})
def test_labels_come_back_and_nothing_in_them_is_a_mark(labels: dict[str, str]) -> None:
    """A14: names and texts of anybody's, also such as the ledger itself would write for a value of another type."""
    expected = {clean(name): clean(label) for name, label in SECRETS.labels(labels).items()}
    assert load_labels(dump_labels(labels)) == expected


@pytest.mark.parametrize("text", ["[]", "null", '{"a": 1}', "oops"])
def test_labels_that_are_none_are_refused(text: str) -> None:
    """The row is put aside."""
    with pytest.raises(ValueError, match=r"."):
        load_labels(text)


def test_a_record_with_strange_text_can_be_written() -> None:
    """A14: an object's name as a stranger may write it."""
    assert load(dump(Target(kind="Pod", namespace="\ud800", name="\0"))) == {
        "kind": "Pod",
        "namespace": "\ufffd",
        "name": "\ufffd",
        "uid": "",
    }


@given(any_text, any_text)
def test_keys_are_bounded_and_two_different_long_keys_stay_different(one: str, other: str) -> None:
    """A14: an index entry has a limit."""
    long_one, long_other = clean_key("k" * LONGEST_KEY + one), clean_key("k" * LONGEST_KEY + other)
    assert len(long_one) <= LONGEST_KEY
    assert (long_one == long_other) == (clean(one) == clean(other))


@pytest.mark.parametrize(
    ("url", "driver", "file"),
    [
        ("sqlite:////var/lib/kintsugi/ledger.db", "sqlite+pysqlite", Path("/var/lib/kintsugi/ledger.db")),
        ("sqlite+pysqlite:///ledger.db", "sqlite+pysqlite", Path("ledger.db")),
        ("postgresql://me@db/kintsugi", "postgresql+asyncpg", None),
        ("postgres://me@db/kintsugi", "postgresql+asyncpg", None),
        ("postgresql+psycopg://me@db/kintsugi", "postgresql+asyncpg", None),
    ],
)
def test_a_ledger_is_kept_in_sqlite_or_postgresql(url: str, driver: str, file: Path | None) -> None:
    """One code base for both; the driver is ours to choose."""
    parsed = parse_url(url)
    assert (parsed.drivername, file_of(parsed)) == (driver, file)


def test_the_word_of_psql_for_encryption_is_taken() -> None:
    """libpq says sslmode, asyncpg says ssl."""
    assert dict(parse_url("postgresql://db/kintsugi?sslmode=verify-full").query) == {"ssl": "verify-full"}


def test_the_end_of_a_file_s_line_is_no_part_of_a_url() -> None:
    """A Secret made by `--from-file` holds it."""
    assert parse_url("postgresql://me@db/kintsugi\n").database == "kintsugi"


@pytest.mark.parametrize(
    ("url", "said", "right"),
    [
        ("not a url", "cannot be read", "sqlite:////path/file"),
        ("mysql://db/kintsugi", "cannot be stored in mysql", "sqlite:////path/file"),
        ("sqlite://", "needs a file", "in memory"),
        ("sqlite:///:memory:", "needs a file", "in memory"),
    ],
)
def test_any_other_url_is_refused_with_what_would_be_right(url: str, said: str, right: str) -> None:
    """No stack trace for a typing error; and no password in a message."""
    with pytest.raises(LedgerError, match=said) as refused:
        parse_url(url)
    assert right in str(refused.value)
