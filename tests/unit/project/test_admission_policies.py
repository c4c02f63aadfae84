"""docs/admission-policies.yaml is about the account and the image of the other manifests, and about every right to change."""

from datetime import timedelta
from typing import Any

import yaml

from kintsugi.actions.psql import words
from kintsugi.model.command import Psql
from kintsugi.verbs.exec import PROGRAMS
from tests.unit.project.tree import ROOT

DOCS = ROOT / "docs"
TEXT = (DOCS / "admission-policies.yaml").read_text()
OPERATIONS = {"patch": "UPDATE", "create": "CREATE", "delete": "DELETE"}
NOT_HELD = {
    ("", "pods", "DELETE"),
    ("", "pods/eviction", "CREATE"),
    ("", "pods/resize", "UPDATE"),
    ("", "events", "CREATE"),
    ("", "persistentvolumeclaims", "DELETE"),
}
"""Rights that docs/security.md names as what remains: no policy can know which pod or claim is meant."""


def of_kind(file: str, kind: str) -> list[dict[str, Any]]:
    """Return the objects of a kind in a file."""
    return [dict(each) for each in yaml.safe_load_all((DOCS / file).read_text()) if each["kind"] == kind]


POLICIES = of_kind("admission-policies.yaml", "ValidatingAdmissionPolicy")


def test_each_policy_is_about_kintsugi_s_account_alone_denies_and_fails_closed() -> None:
    (account,) = of_kind("least-rights.yaml", "ServiceAccount")
    user = "system:serviceaccount:{namespace}:{name}".format(**account["metadata"])
    for policy in POLICIES:
        conditions = {each["name"]: each["expression"] for each in policy["spec"]["matchConditions"]}
        assert conditions["by-kintsugi"] == f"request.userInfo.username == '{user}'"
        assert policy["spec"]["failurePolicy"] == "Fail"
        # Any other reason is answered with 422, which a patch with tests takes for a field that has changed.
        assert {each["reason"] for each in policy["spec"]["validations"]} == {"Forbidden"}
    bindings = of_kind("admission-policies.yaml", "ValidatingAdmissionPolicyBinding")
    bound = {each["spec"]["policyName"]: each["spec"]["validationActions"] for each in bindings}
    assert bound == {policy["metadata"]["name"]: ["Deny"] for policy in POLICIES}


def test_every_right_to_change_is_held_by_a_policy_or_named_as_what_remains() -> None:
    """What is granted by RBAC alone is as strong as any image, any Secret and any volume."""
    held = {
        (group, resource, operation)
        for policy in POLICIES
        for rule in policy["spec"]["matchConstraints"]["resourceRules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for operation in rule["operations"]
    }
    granted = {
        (group, resource, "CONNECT" if resource == "pods/exec" else OPERATIONS[verb])
        for role in of_kind("least-rights.yaml", "ClusterRole")
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        if verb in OPERATIONS
    }
    assert granted - held == NOT_HELD


def test_jobs_are_held_to_the_image_that_the_deployment_names() -> None:
    (deployment,) = of_kind("deployment.yaml", "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    (image,) = [each["value"] for each in container["env"] if each["name"] == "KINTSUGI_IMAGE"]
    (jobs,) = [each for each in POLICIES if each["metadata"]["name"] == "kintsugi-jobs"]
    variables = {each["name"]: each["expression"] for each in jobs["spec"]["variables"]}
    assert variables["image"] == f"'{image}'"


def test_each_program_that_is_run_in_containers_is_let_in_in_the_words_that_are_sent() -> None:
    (policy,) = [each for each in POLICIES if each["metadata"]["name"] == "kintsugi-exec"]
    allowed = " ".join(each["expression"] for each in policy["spec"]["variables"])
    sent = words(Psql(statement="SELECT 1"), timedelta(seconds=10))
    for word in (*sent[:5], *sent[6:-1]):
        assert f"'{word}'" in allowed, word
    assert len(sent) == 10
    assert f"startsWith('{sent[-1][:40]}" in allowed
    assert [name for name in PROGRAMS if name not in allowed] == []
