"""docs/least-rights.yaml grants what the daemon watches and the shipped runbooks do, and nothing that it never does."""

from collections.abc import Iterator
from typing import Any

import yaml

from kintsugi.objects.resources import Resource
from kintsugi.services import Caches
from tests.unit.project.tree import ROOT

DOCUMENTS = list(yaml.safe_load_all((ROOT / "docs" / "least-rights.yaml").read_text()))
Right = tuple[str, str, str]


def test_all_that_is_watched_may_be_read_and_no_more() -> None:
    """One right that is missing, and the caches never sync."""
    watched: list[Resource] = []

    def note(_kube: object, resource: Resource, _kept: type) -> None:
        watched.append(resource)

    Caches.of(None, note)  # type: ignore[arg-type]
    wanted = {(each.group, each.plural, verb) for each in watched for verb in ("get", "list", "watch")}
    assert set(rights("kintsugi-see")) == wanted


def test_changes_are_deleting_pods_and_patching_workloads() -> None:
    """The rights to change are bound in namespaces; what is granted everywhere only reads."""
    changing = {"create", "delete", "deletecollection", "patch", "update"}
    assert {right for right in rights("kintsugi-mend") if right[2] in changing} == {
        ("", "events", "create"),
        ("", "pods/exec", "create"),
        ("", "pods", "delete"),
        *(("apps", workload, "patch") for workload in ("daemonsets", "deployments", "statefulsets")),
    }
    bound = {(each["kind"], each["roleRef"]["name"]) for each in DOCUMENTS if "roleRef" in each}
    assert bound == {
        ("ClusterRoleBinding", "kintsugi-see"),
        ("ClusterRoleBinding", "kintsugi-volumes"),
        ("RoleBinding", "kintsugi-mend"),
    }


def test_no_right_is_a_wildcard_or_about_secrets() -> None:
    """A wildcard grants what nobody has read."""
    every = [*rights("kintsugi-see"), *rights("kintsugi-volumes"), *rights("kintsugi-mend")]
    assert [right for right in every if "*" in right or right[1] == "secrets"] == []


def rights(role: str) -> Iterator[Right]:
    """Go through the rights of a role: group, resource, verb."""
    found: dict[str, Any] = next(
        each for each in DOCUMENTS if each["kind"] == "ClusterRole" and each["metadata"]["name"] == role
    )
    for rule in found["rules"]:
        for group in rule["apiGroups"]:
            yield from ((group, resource, verb) for resource in rule["resources"] for verb in rule["verbs"])
