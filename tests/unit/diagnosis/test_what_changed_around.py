"""What changed around a workload before its trouble: nodes, autoscalers, and incidents of its upstreams."""

from dataclasses import replace
from datetime import UTC, datetime

import msgspec

from kubediagnosis.causes import ObjectChange
from kubediagnosis.facts import FieldChange, NodeFacts, WorkloadFacts
from kubediagnosis.headline import change_text
from kubediagnosis.object_facts import changes_of_autoscalers, node_facts
from kubediagnosis.timeline import MOST, changes_before
from kubeobjects.metadata import Condition
from tests.unit.diagnosis.around import bare_node
from tests.unit.diagnosis.workload import Workload, ago, iso

OLD = ago(86_000)


def workload(*nodes: NodeFacts) -> WorkloadFacts:
    """Return a workload that was made an hour ago, on these nodes."""
    return replace(Workload().facts(), created=ago(3600), nodes=nodes, revisions=())


def node(
    name: str = "a", *, ready: str = "True", since: float = 7200, cordoned: bool = False, made: datetime = OLD
) -> NodeFacts:
    """Return a node, made long ago unless it is told otherwise."""
    condition = Condition(type="Ready", status=ready, last_transition_time=ago(since))
    return bare_node(name, cordoned=cordoned, conditions=(condition,), created=made)


def told(facts: WorkloadFacts) -> list[tuple[str, str, str, str]]:
    """Return the changes with what there is now, and by whom."""
    return [(each.object, each.field, each.after, each.by) for each in changes_before(facts)]


def test_a_node_that_stopped_to_report_and_one_that_was_cordoned_or_added_are_told() -> None:
    lost = node("a", ready="Unknown", since=300)
    marked = msgspec.structs.replace(
        node("b", cordoned=True), marked=FieldChange(manager="kubectl-cordon", at=ago(200))
    )
    added = node("c", made=ago(100))
    assert told(workload(lost, marked, added)) == [
        ("node/a", "status.conditions[Ready]", "Unknown", ""),
        ("node/b", "spec.unschedulable", "true", "kubectl-cordon"),
        ("node/c", "metadata.creationTimestamp", "added", ""),
    ]


def test_a_node_that_is_well_or_changed_before_the_workload_was_there_is_not_told() -> None:
    uncordoned = msgspec.structs.replace(node("a"), marked=FieldChange(manager="kubectl", at=ago(200)))
    assert told(workload(uncordoned, node("b", ready="False", since=5000))) == []


def test_nodes_that_were_added_are_told_up_to_the_latest_few() -> None:
    nodes = [node(f"n{number}", made=ago(3000 - number)) for number in range(50)]
    assert [each[0] for each in told(workload(*nodes))] == [f"node/n{number}" for number in range(50 - MOST, 50)]


def test_the_writer_of_a_cordon_is_read_of_the_managed_fields() -> None:
    entry = {
        "manager": "kubectl-cordon",
        "time": iso(ago(60)),
        "fieldsV1": {"f:spec": {"f:unschedulable": {}}},
    }
    found = node_facts({"metadata": {"name": "a", "managedFields": [entry]}, "spec": {"unschedulable": True}})
    assert (found.spec.unschedulable, found.marked) == (True, FieldChange(manager="kubectl-cordon", at=ago(60)))


def autoscaler(target: str = "web") -> dict[str, object]:
    """Return an autoscaler that was made two hours ago, whose most was changed since, and that has scaled since."""
    made, changed = iso(ago(7200)), iso(ago(120))
    entries = [
        {"manager": "helm", "time": made, "fieldsV1": {"f:spec": {"f:minReplicas": {}}}},
        {"manager": "kubectl-edit", "time": changed, "fieldsV1": {"f:spec": {"f:maxReplicas": {}}}},
    ]
    return {
        "metadata": {"name": "hpa", "creationTimestamp": made, "managedFields": entries},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": target}, "minReplicas": 2, "maxReplicas": 3},
        "status": {"lastScaleTime": iso(ago(60)), "desiredReplicas": 3},
    }


def test_bounds_of_an_autoscaler_that_were_written_and_its_last_scaling_are_told() -> None:
    found = tuple(changes_of_autoscalers([autoscaler()], "deployment/web"))
    facts = replace(workload(), changed_around=found)
    assert told(facts)[-2:] == [
        ("horizontalpodautoscaler/hpa", "spec.maxReplicas", "3", "kubectl-edit"),
        ("horizontalpodautoscaler/hpa", "status.desiredReplicas", "3", ""),
    ]
    assert "spec.minReplicas" not in {each.field for each in found}
    assert list(changes_of_autoscalers([autoscaler("api")], "deployment/web")) == []


def test_an_incident_of_an_upstream_is_told_until_it_is_a_day_old() -> None:
    recent = ObjectChange(object="incident/inc-1", field="database", at=ago(600), after="open", shown=True)
    old = replace(recent, object="incident/inc-0", at=datetime(2020, 1, 1, tzinfo=UTC))
    found = changes_before(replace(workload(), changed_around=(old, recent)))
    assert found == (recent,)
    assert change_text(recent).endswith("incident/inc-1 database - -> open")
