"""What changed before and around a workload, with who changed it."""

from dataclasses import replace
from datetime import UTC, datetime

import msgspec

from kubediagnosis.causes import ObjectChange
from kubediagnosis.diagnose import diagnose
from kubediagnosis.facts import ConfigurationType, FieldChange, NodeFacts, WorkloadFacts
from kubediagnosis.headline import change_text, what_changed
from kubediagnosis.object_facts import changes_of_autoscalers, node_facts
from kubediagnosis.timeline import MOST, changes_before
from kubeobjects.metadata import Condition
from tests.unit.diagnosis.around import bare_node, written
from tests.unit.diagnosis.workload import APP, Workload, ago, iso, new


def test_a_rollout_is_told_field_by_field_with_who_wrote_it() -> None:
    web = Workload().change((*APP, "image"), "shop:2").change((*APP, "resources", "limits", "memory"), "16Mi")
    web.roll_out().also(templated=FieldChange(manager="kubectl-set", at=ago(120)))
    image, memory = changes_before(web.facts())
    assert image == ObjectChange(
        object="deployment/web",
        field="containers[app].image",
        at=ago(120),
        by="kubectl-set",
        before="shop:1",
        after="shop:2",
        shown=True,
    )
    assert (memory.field, memory.before, memory.after) == ("containers[app].resources.limits.memory", "64Mi", "16Mi")
    assert change_text(image) == (
        "2026-11-27 08:58:00 deployment/web containers[app].image shop:1 -> shop:2 (by kubectl-set)"
    )


def test_values_of_variables_commands_and_probes_are_never_told() -> None:
    web = Workload().change((*APP, "env", 0, "value"), "http://hunter2@db").change((*APP, "args"), ["hunter2"])
    web.change((*APP, "command"), ["/bin/shop", "hunter2"])
    web.change((*APP, "livenessProbe", "httpGet", "path"), "/hunter2").roll_out()
    found = changes_before(web.facts())
    assert {each.field for each in found} == {
        "containers[app].env[UPSTREAM]",
        "containers[app].command",
        "containers[app].livenessProbe",
        "containers[app].args",
    }
    assert not any(each.shown for each in found)
    assert "hunter2" not in repr(found)
    assert "->" not in what_changed(diagnose(web.facts()))


def test_a_secret_that_was_written_is_told_by_its_key_and_an_older_one_is_not() -> None:
    secret, settings = written("token", "token", 300), replace(written("settings", "x", 60, kind=MAP), changed_keys=())
    older = written("routes", "x", 3 * 86400, kind=MAP)
    found = changes_before(Workload().also(configurations=(secret, settings, older)).facts())
    assert [(each.object, each.field) for each in found] == [
        ("secret/token", "data[token]"),
        ("configmap/settings", "data"),
    ]


def test_a_configuration_that_is_as_it_was_made_before_the_workload_is_no_change() -> None:
    configurations = (
        written("kube-root-ca.crt", "x", 61, kind=MAP, made=61),
        written("routes", "x", 30, kind=MAP, made=61),
        written("settings", "x", 30, kind=MAP, made=30),
    )
    found = changes_before(Workload().also(created=ago(60), configurations=configurations).facts())
    assert [each.object for each in found] == ["configmap/routes", "configmap/settings"]


def test_changes_are_in_the_order_of_their_time_and_the_line_begins_with_the_latest() -> None:
    web = new((*APP, "image"), "shop:2").also(scaled=FieldChange(manager="kubectl", at=ago(30)))
    found = diagnose(web.facts())
    assert [each.field for each in found.changes] == ["containers[app].image", "spec.replicas"]
    assert what_changed(found).split("; ")[0].endswith("spec.replicas - -> 2 (by kubectl)")


OLD, MAP = ago(86_000), ConfigurationType.CONFIG_MAP


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
