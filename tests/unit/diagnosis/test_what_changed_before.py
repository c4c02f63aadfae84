"""What changed before the trouble: the last rollout field by field, the scale, what is mounted; by whom, and no secret."""

from functools import partial

from kubediagnosis.causes import ObjectChange
from kubediagnosis.diagnose import diagnose
from kubediagnosis.facts import ConfigurationFacts, ConfigurationType, FieldChange
from kubediagnosis.headline import change_text, what_changed
from kubediagnosis.object_facts import written_by
from kubediagnosis.timeline import changes_before
from tests.unit.diagnosis.workload import Workload, ago, iso


def test_a_rollout_is_told_field_by_field_with_who_wrote_it() -> None:
    workload = Workload()
    workload.change(["spec", "containers", 0, "image"], "shop:2")
    workload.change(["spec", "containers", 0, "resources", "limits", "memory"], "16Mi")
    workload.roll_out()
    workload.more["templated"] = FieldChange(manager="kubectl-set", at=ago(120))
    image, memory = changes_before(workload.facts())
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
    workload = Workload()
    workload.change(["spec", "containers", 0, "env", 0, "value"], "http://hunter2@db")
    workload.change(["spec", "containers", 0, "command"], ["/bin/shop", "hunter2"])
    workload.change(["spec", "containers", 0, "livenessProbe", "httpGet", "path"], "/hunter2")
    workload.change(["spec", "containers", 0, "args"], ["hunter2"])
    workload.roll_out()
    found = changes_before(workload.facts())
    assert {each.field for each in found} == {
        "containers[app].env[UPSTREAM]",
        "containers[app].command",
        "containers[app].livenessProbe",
        "containers[app].args",
    }
    assert not any(each.shown for each in found)
    assert "hunter2" not in repr(found)
    assert "->" not in what_changed(diagnose(workload.facts()))


def test_a_secret_that_was_written_is_told_by_its_key_and_an_older_one_is_not() -> None:
    workload = Workload()
    workload.more["configurations"] = (
        ConfigurationFacts(
            type=ConfigurationType.SECRET, name="token", exists=True, changed=ago(300), changed_keys=("token",)
        ),
        ConfigurationFacts(type=ConfigurationType.CONFIG_MAP, name="settings", exists=True, changed=ago(60)),
        ConfigurationFacts(type=ConfigurationType.CONFIG_MAP, name="routes", exists=True, changed=ago(3 * 86400)),
    )
    found = changes_before(workload.facts())
    assert [(each.object, each.field) for each in found] == [
        ("secret/token", "data[token]"),
        ("configmap/settings", "data"),
    ]


def test_a_configuration_that_is_as_it_was_made_before_the_workload_is_no_change() -> None:
    workload = Workload()
    made = partial(ConfigurationFacts, type=ConfigurationType.CONFIG_MAP, exists=True)
    workload.more |= {
        "created": ago(60),
        "configurations": (
            made(name="kube-root-ca.crt", created=ago(61), changed=ago(61)),
            made(name="routes", created=ago(61), changed=ago(30)),
            made(name="settings", created=ago(30), changed=ago(30)),
        ),
    }
    assert [each.object for each in changes_before(workload.facts())] == ["configmap/routes", "configmap/settings"]


def test_a_scale_is_told_with_who_did_it() -> None:
    workload = Workload()
    workload.more["scaled"] = FieldChange(manager="kubectl", at=ago(30))
    (found,) = changes_before(workload.facts())
    assert (found.field, found.by, found.after) == ("spec.replicas", "kubectl", "2")


def test_changes_are_in_the_order_of_their_time_and_the_line_begins_with_the_latest() -> None:
    workload = Workload()
    workload.change(["spec", "containers", 0, "image"], "shop:2")
    workload.roll_out()
    workload.more["scaled"] = FieldChange(manager="kubectl", at=ago(30))
    found = diagnose(workload.facts()).changes
    assert [each.field for each in found] == ["containers[app].image", "spec.replicas"]
    assert what_changed(diagnose(workload.facts())).split("; ")[0].endswith("spec.replicas - -> 2 (by kubectl)")


def test_the_writer_of_the_template_is_read_of_the_managed_fields() -> None:
    def entry(manager: str, seconds: float, **spec: object) -> dict[str, object]:
        return {"manager": manager, "time": iso(ago(seconds)), "fieldsV1": {"f:spec": spec}}

    entries = [
        entry("helm", 900, **{"f:template": {}}),
        entry("kubectl-set", 60, **{"f:template": {}}),
        entry("kubectl", 5, **{"f:replicas": {}}),
    ]
    assert written_by({"metadata": {"managedFields": entries}}, "f:template") == FieldChange(
        manager="kubectl-set", at=ago(60)
    )
