"""docs/least-rights.yaml grants what the daemon watches and the shipped runbooks do, and nothing that it never does."""

from collections.abc import Iterator
from typing import Any

import yaml

from kintsugi.views import Caches
from kubeobjects.resources import Resource
from tests.unit.project.tree import ROOT

DOCUMENTS = list(yaml.safe_load_all((ROOT / "docs" / "least-rights.yaml").read_text()))
Grant = tuple[str, str, str]


def test_all_that_is_watched_may_be_read_and_no_more() -> None:
    """One right that is missing, and the caches never sync."""
    watched: list[Resource] = []

    def note(_kube: object, resource: Resource, _kept: type) -> None:
        watched.append(resource)

    Caches.of(None, note)  # type: ignore[arg-type]
    wanted = {(each.group, each.plural, verb) for each in watched for verb in ("get", "list", "watch")}
    assert set(rights("kintsugi-see")) == wanted


def test_changes_are_deleting_evicting_and_resizing_pods_and_patching_workloads() -> None:
    """The rights to change are bound in namespaces; what is granted everywhere only reads."""
    changing = {"create", "delete", "deletecollection", "patch", "update"}
    assert {right for right in rights("kintsugi-changes") if right[2] in changing} == {
        ("", "events", "create"),
        ("", "pods/exec", "create"),
        ("", "pods", "delete"),
        ("", "pods/eviction", "create"),
        ("", "pods/resize", "patch"),
        *(("apps", workload, "patch") for workload in ("daemonsets", "deployments", "statefulsets")),
    }
    bound = {(each["kind"], each["roleRef"]["name"]) for each in DOCUMENTS if "roleRef" in each}
    assert bound == {
        ("ClusterRoleBinding", "kintsugi-see"),
        ("ClusterRoleBinding", "kintsugi-volumes"),
        ("ClusterRoleBinding", "kintsugi-diagnose"),
        ("ClusterRoleBinding", "kintsugi-keep-volumes"),
        ("RoleBinding", "kintsugi-changes"),
        ("RoleBinding", "kintsugi-restore"),
    }


def test_volumes_of_the_stacks_runbook_are_only_read() -> None:
    assert set(rights("kintsugi-volumes")) == {
        (group, resource, verb)
        for group, resource in (
            ("", "persistentvolumes"),
            ("storage.k8s.io", "storageclasses"),
            ("metrics.k8s.io", "nodes"),
        )
        for verb in ("get", "list")
    }


def test_a_diagnosis_only_lists_and_nothing_that_holds_contents() -> None:
    """What ConfigMaps and Secrets hold is not read with these rights."""
    assert set(rights("kintsugi-diagnose")) == {
        (group, resource, "list")
        for group, resource in (
            ("networking.k8s.io", "networkpolicies"),
            ("policy", "poddisruptionbudgets"),
            ("apps", "controllerrevisions"),
            ("metrics.k8s.io", "pods"),
            ("admissionregistration.k8s.io", "validatingwebhookconfigurations"),
            ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
        )
    }


def test_a_restore_deletes_claims_and_never_a_volume() -> None:
    """An old volume is kept, whatever happens."""
    assert set(rights("kintsugi-keep-volumes")) == {("", "persistentvolumes", "patch")}
    restore = set(rights("kintsugi-restore"))
    assert restore == {
        *(("", "persistentvolumeclaims", verb) for verb in ("create", "delete")),
        *(("batch", "jobs", verb) for verb in ("get", "create", "delete")),
        *(("batch", "cronjobs", verb) for verb in ("get", "patch")),
    }
    assert not [right for right in restore if right[1] == "persistentvolumes"]


def test_no_right_is_a_wildcard_or_about_secrets() -> None:
    """A wildcard grants what nobody has read."""
    roles = [each["metadata"]["name"] for each in DOCUMENTS if each["kind"] == "ClusterRole"]
    every = [right for role in roles for right in rights(role)]
    assert [right for right in every if "*" in right or right[1] == "secrets"] == []


def rights(role: str) -> Iterator[Grant]:
    """Go through the rights of a role: group, resource, verb."""
    found: dict[str, Any] = next(
        each for each in DOCUMENTS if each["kind"] == "ClusterRole" and each["metadata"]["name"] == role
    )
    for rule in found["rules"]:
        for group in rule["apiGroups"]:
            yield from ((group, resource, verb) for resource in rule["resources"] for verb in rule["verbs"])
