"""Strategic patches of lists and retained keys do what the real server was seen to do."""

from kubesim.apiserver.patches import strategic_patch


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
