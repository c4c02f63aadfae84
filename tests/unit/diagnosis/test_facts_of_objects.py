"""Objects as the API has them, made into facts: who wrote what last, and nothing of what a Secret holds."""

from typing import Any

import pytest

from kubediagnosis import object_facts
from kubediagnosis.facts import ConfigurationType, FieldChange
from tests.unit.diagnosis.workload import ago, iso


def managed(manager: str, seconds: float, fields: dict[str, Any]) -> dict[str, Any]:
    """Return an entry of the managed fields."""
    return {"manager": manager, "operation": "Update", "time": iso(ago(seconds)), "fieldsV1": fields}


def keys(*names: str) -> dict[str, Any]:
    """Return the fields of data with these keys."""
    return {"f:data": {".": {}, **{f"f:{name}": {} for name in names}}}


def test_a_secret_passes_with_the_names_of_its_keys_alone() -> None:
    entries = [managed("kubectl-create", 900, keys("token")), managed("kubectl-edit", 60, keys("user"))]
    secret = {"metadata": {"name": "token", "managedFields": entries}}
    found = object_facts.configuration_facts(ConfigurationType.SECRET, "token", secret)
    assert (found.reference, found.exists, found.keys) == ("secret/token", True, frozenset({"token", "user"}))


@pytest.mark.parametrize(
    ("last", "changed"),
    [(("currency",), ("currency",)), (("currency", "locale"), ())],
    ids=["one key", "several, of which nobody says which"],
)
def test_the_key_that_was_written_last_is_known_where_its_writer_wrote_no_other(
    last: tuple[str, ...], changed: tuple[str, ...]
) -> None:
    entries = [
        managed("kubectl-create", 900, keys("currency", "locale")),
        managed("kubectl-patch", 60, keys(*last)),
        managed("labeller", 5, {"f:metadata": {"f:labels": {}}}),
    ]
    obj = {"metadata": {"name": "settings", "managedFields": entries}}
    found = object_facts.configuration_facts(ConfigurationType.CONFIG_MAP, "settings", obj)
    assert (found.changed, found.changed_keys) == (ago(60), changed)


def test_the_one_who_wrote_the_replicas_last_is_who_scaled() -> None:
    entries = [
        managed("helm", 900, {"f:spec": {"f:replicas": {}, "f:template": {}}}),
        managed("kubectl", 60, {"f:spec": {"f:replicas": {}}}),
        managed("controller", 5, {"f:status": {}}),
    ]
    assert object_facts.written_by({"metadata": {"managedFields": entries}}, "f:replicas") == FieldChange(
        manager="kubectl", at=ago(60)
    )
    assert object_facts.written_by({"metadata": {}}, "f:replicas") is None


@pytest.mark.parametrize(
    ("spec", "updated", "by"),
    [
        ({"paused": True}, 0, FieldChange(manager="kubectl-rollout", at=ago(60))),
        ({"paused": True}, 1, None),
        ({}, 0, None),
    ],
    ids=["paused before its first pod", "a pod is of its template", "not paused"],
)
def test_a_rollout_is_held_by_who_paused_it_before_any_pod_was_made(
    spec: dict[str, Any], updated: int, by: FieldChange | None
) -> None:
    entries = [managed("kubectl-rollout", 60, {"f:spec": {"f:paused": {}}})]
    status = {"updatedReplicas": updated} if updated else {}
    workload = {"metadata": {"managedFields": entries}, "spec": spec, "status": status}
    assert object_facts.paused_before_start(workload) == by


def test_events_are_those_of_the_objects_that_were_asked_about() -> None:
    def event(name: str, **more: Any) -> dict[str, Any]:
        involved = {"kind": "Pod", "name": name, "fieldPath": "spec.containers{app}"}
        return {"kind": "Event", "metadata": {}, "reason": "Failed", "message": "x", "involvedObject": involved, **more}

    series = {"count": 7, "lastObservedTime": iso(ago(3))}
    found = list(
        object_facts.events_of_facts(
            [event("web-1", count=4, lastTimestamp=iso(ago(9))), event("web-1", series=series), event("other")],
            frozenset({"pod/web-1"}),
        )
    )
    assert [(each.about, each.times, each.at) for each in found] == [
        ("pod/web-1", 4, ago(9)),
        ("pod/web-1", 7, ago(3)),
    ]
