"""Values come back from the ledger as they went in, whatever they are made of."""

from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.ledger.texts import LONGEST_KEY, clean, clean_key, dump, load

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
values = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(storable, inner), max_leaves=12)


@given(values)
def test_a_value_comes_back_as_it_went_in(value: object) -> None:
    """A14: integers of any size, times, durations and bytes included."""
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


def test_what_has_no_json_is_written_as_the_nearest_thing() -> None:
    """NaN is no number; tuples and frozen mappings are lists and mappings."""
    value = {"nan": float("nan"), "items": (1, 2), "frozen": MappingProxyType({"a": timedelta(seconds=1)})}
    assert load(dump(value)) == {"nan": None, "items": [1, 2], "frozen": {"a": timedelta(seconds=1)}}


def test_what_cannot_be_kept_is_refused() -> None:
    """A fault of ours is said, not stored."""
    with pytest.raises(TypeError):
        dump({"object": object()})


def test_a_mapping_that_looks_like_our_own_mark_but_is_none_stays() -> None:
    """A label may have any name."""
    value = {"$kintsugi.time": "not a time", "other": 1}
    assert load(dump(value)) == value


def test_a_time_keeps_its_microseconds() -> None:
    """Order within a second matters."""
    moment = datetime(2026, 3, 1, 12, 0, 0, 1, tzinfo=UTC)
    assert load(dump([moment])) == [moment]


@given(any_text, any_text)
def test_keys_are_bounded_and_two_different_long_keys_stay_different(one: str, other: str) -> None:
    """A14: an index entry has a limit."""
    long_one, long_other = clean_key("k" * LONGEST_KEY + one), clean_key("k" * LONGEST_KEY + other)
    assert len(long_one) <= LONGEST_KEY
    assert (long_one == long_other) == (clean(one) == clean(other))
