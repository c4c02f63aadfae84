"""The difference of two states leads from one to the other and back, and fails when a tested field has changed."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.actions.difference import difference
from kubediagnosis.templates import differ_in_stamp_only, template_digest
from kubesim.apiserver.patches import json_patch
from kubesim.storage.status import ApiRefusal
from tests.unit.actions.samples import template

KEYS = st.sampled_from(["a", "b", "c/d", "e~f", "labels"])
LEAVES = st.integers(0, 3) | st.booleans() | st.sampled_from(["x", "y"]) | st.lists(st.integers(0, 2), max_size=2)
OBJECTS = st.recursive(
    st.dictionaries(KEYS, LEAVES, max_size=4),
    lambda inner: st.dictionaries(KEYS, inner | LEAVES, max_size=4),
    max_leaves=12,
).filter(lambda value: isinstance(value, dict))


def patched(obj: dict[str, Any], operations: Sequence[Mapping[str, object]]) -> dict[str, Any]:
    """Return what a JSON patch makes of an object, which stays as it is."""
    return json_patch(deepcopy(obj), [dict(each) for each in operations])


@given(before=OBJECTS, after=OBJECTS)
def test_the_difference_leads_there_and_back(before: dict[str, Any], after: dict[str, Any]) -> None:
    """P8: swapping the states gives the undo."""
    assert patched(before, difference(before, after)) == after
    assert patched(after, difference(after, before)) == before


@given(before=OBJECTS, after=OBJECTS, other=OBJECTS)
def test_a_patch_overwrites_no_change_of_somebody_else(
    before: dict[str, Any], after: dict[str, Any], other: dict[str, Any]
) -> None:
    """P4: either every field that is written is as it was judged, or nothing is written."""
    written = {str(each["path"]): each["value"] for each in difference(before, after) if each["op"] == "test"}
    try:
        patched(other, difference(before, after))
    except ApiRefusal:
        return
    for path, judged in written.items():
        assert found(other, path) == judged


def found(obj: object, path: str) -> object:
    """Return what stands at a JSON pointer, None when there is nothing."""
    for token in path.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        obj = obj.get(key) if isinstance(obj, dict) else None
    return obj


def test_a_field_that_the_server_keeps_for_itself_is_no_difference() -> None:
    """Versions, managers and status move with every write."""
    before = {"metadata": {"name": "web", "resourceVersion": "1", "generation": 1}, "status": {"replicas": 1}}
    after = {"metadata": {"name": "web", "resourceVersion": "2", "generation": 2, "managedFields": []}, "status": {}}
    assert difference(before, after) == ()


def test_a_changed_field_fails_the_patch() -> None:
    """And an absent one that has come."""
    operations = difference({"spec": {"replicas": 1}}, {"spec": {"replicas": 2, "paused": True}})
    with pytest.raises(ApiRefusal):
        patched({"spec": {"replicas": 3}}, operations)
    with pytest.raises(ApiRefusal):
        patched({"spec": {"replicas": 1, "paused": False}}, operations)


def test_a_template_is_known_again_by_its_content() -> None:
    """Nulls and empty maps are how different writers write the same; a restart is told from a change."""
    plain = template("web:1")
    spelled = {**plain, "metadata": {**plain["metadata"], "creationTimestamp": None, "annotations": {}}}
    assert template_digest(plain) == template_digest(spelled)
    stamped = template("web:1", **{"kubectl.kubernetes.io/restartedAt": "2026-05-04T12:00:00Z"})
    assert template_digest(plain) != template_digest(stamped)
    assert differ_in_stamp_only(plain, stamped)
    assert not differ_in_stamp_only(plain, template("web:2"))
