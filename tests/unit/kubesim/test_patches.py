"""Patches keep the laws of their formats for any document."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubesim.apiserver.patches import json_patch, merge_patch, strategic_patch
from kubesim.storage.status import ApiRefusal

SCALARS = st.one_of(st.booleans(), st.integers(-9, 9), st.text("ab", max_size=2))
KEYS = st.text("xyz", min_size=1, max_size=2)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=4)


@given(DOCUMENTS, DOCUMENTS)
def test_a_merge_patch_applied_twice_is_applied_once(document: dict[str, Any], patch: dict[str, Any]) -> None:
    once = merge_patch(document, patch)
    assert merge_patch(once, patch) == once


@given(DOCUMENTS, DOCUMENTS)
def test_without_keyed_lists_a_strategic_patch_is_a_merge_patch(
    document: dict[str, Any], patch: dict[str, Any]
) -> None:
    assert strategic_patch(document, patch) == merge_patch(document, patch)


@given(DOCUMENTS)
def test_a_json_patch_takes_back_what_it_added(document: dict[str, Any]) -> None:
    operations: list[dict[str, Any]] = [{"op": "add", "path": "/new", "value": 1}, {"op": "remove", "path": "/new"}]
    assert json_patch(document, operations) == {key: value for key, value in document.items() if key != "new"}


@given(DOCUMENTS)
def test_a_refused_json_patch_leaves_the_document_alone(document: dict[str, Any]) -> None:
    before = repr(document)
    with pytest.raises(ApiRefusal):
        json_patch(document, [{"op": "add", "path": "/a", "value": 1}, {"op": "test", "path": "/a", "value": 2}])
    assert repr(document) == before


def test_patched_items_keep_their_place_and_new_ones_come_before_what_was_not_patched() -> None:
    """As the real server was seen to do."""
    env = [{"name": name, "value": "old"} for name in ("A", "B", "C")]
    patch = {"env": [{"name": "N", "value": "new"}, {"name": "B", "value": "new"}]}
    names = [each["name"] for each in strategic_patch({"env": env}, patch)["env"]]
    assert names == ["N", "A", "B", "C"]


def test_primitive_items_are_added_and_deleted() -> None:
    document = {"finalizers": ["a", "b"]}
    assert strategic_patch(document, {"finalizers": ["c"]})["finalizers"] == ["c", "a", "b"]
    assert strategic_patch(document, {"$deleteFromPrimitiveList/finalizers": ["a"]})["finalizers"] == ["b"]


def test_retained_keys_drop_the_others() -> None:
    document = {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}
    patch = {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}
    assert strategic_patch(document, patch) == {"strategy": {"type": "Recreate"}}
