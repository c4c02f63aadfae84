"""The manifests of the documentation: what a pod of them may use up, who may come to its ports, and what its account may do."""

import re
import shlex
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import yaml
from cel_expr_python import cel
from cel_expr_python.ext import ext_strings

from kintsugi.actions.change_context import RUN
from kintsugi.actions.psql import words
from kintsugi.commands.programs import PROGRAMS
from kintsugi.model.command import Psql
from kintsugi.verbs.create_job import RIGHT, manifest
from kintsugi.views import Caches
from kubeobjects.resources import Resource
from tests.unit.commands.test_programs_in_containers import REFUSED, TAKEN
from tests.unit.project.guides import policy as policy_of_programs
from tests.unit.project.guides import programs
from tests.unit.project.tree import ROOT

DOCS = ROOT / "docs"
TEXT = {file.name: file.read_text() for file in DOCS.glob("*.yaml")}
README = (ROOT / "README.md").read_text()
Json = dict[str, Any]


def of_kind(file: str, kind: str) -> list[Json]:
    """Return the objects of a kind in a file."""
    return [dict(each) for each in yaml.safe_load_all(TEXT[file]) if each["kind"] == kind]


def pod() -> tuple[Json, Json]:
    """Return what the Deployment's pods are, and their one container."""
    (deployment,) = of_kind("deployment.yaml", "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return deployment["spec"]["template"]["spec"], container


def volume(name: str) -> tuple[Json, str]:
    """Return a volume of the pod, and the folder where its container has it."""
    spec, container = pod()
    (found,) = [each for each in spec["volumes"] if each["name"] == name]
    return found, next(each["mountPath"] for each in container["volumeMounts"] if each["name"] == name)


def test_the_pod_keeps_to_the_standard_that_its_namespace_enforces_and_cannot_fill_the_node() -> None:
    (namespace,) = of_kind("least-rights.yaml", "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert volume("tmp")[0]["emptyDir"]["sizeLimit"]
    assert pod()[1]["resources"]["limits"]["ephemeral-storage"]


def test_a_key_for_what_is_written_back_is_mounted_where_the_manifest_says_and_may_be_missing() -> None:
    encryption, folder = volume("encryption")
    assert encryption["secret"]["optional"] is True
    told = TEXT["deployment.yaml"] + (DOCS / "operations.md").read_text()
    assert told.count(f"encryptionKeyFile: {folder}/keys") == 2
    name = encryption["secret"]["secretName"]
    assert told.count(f"create secret generic {name} --from-file=keys=encryption.keys") == 2


def test_the_webhook_s_tokens_and_those_of_people_are_two_secrets_and_found_where_the_settings_say() -> None:
    (config,) = of_kind("deployment.yaml", "ConfigMap")
    settings = yaml.safe_load(config["data"]["kintsugi.yaml"])
    tokens, folder = volume("tokens")
    secrets = [each["secret"]["name"] for each in tokens["projected"]["sources"]]
    assert secrets == ["kintsugi-webhook", "kintsugi-operators"]
    assert settings["alertmanager"]["tokenFiles"] == [f"{folder}/webhook"]
    assert settings["server"]["operatorTokenFiles"] == [f"{folder}/operators"]
    for secret in secrets:
        created = f"create secret generic {secret} --from-file={secret.removeprefix('kintsugi-')}="
        assert (TEXT["deployment.yaml"] + README).count(created) == 2


def test_each_port_of_the_pod_is_open_to_whom_the_network_policy_names_and_to_nobody_else() -> None:
    (policy,), (deployment,) = (
        of_kind("network-policy.yaml", "NetworkPolicy"),
        of_kind("deployment.yaml", "Deployment"),
    )
    assert policy["metadata"]["namespace"] == deployment["metadata"]["namespace"]
    assert policy["spec"]["podSelector"] == deployment["spec"]["selector"]
    assert policy["spec"]["policyTypes"] == ["Ingress"]
    named = [port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]]
    assert named == [port["name"] for port in pod()[1]["ports"]]
    peers = [each for rule in policy["spec"]["ingress"] for each in rule["from"]]
    own = [each for each in peers if "namespaceSelector" not in each]
    assert own == [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "kintsugi-test"}}}]
    assert all(each["namespaceSelector"]["matchLabels"] for each in peers if each not in own)


def test_every_manifest_is_applied_where_people_are_told_how_it_is_run() -> None:
    assert [name for name in TEXT if f"kubectl apply -f docs/{name}\n" not in README] == []


def rights(role: str) -> set[tuple[str, str, str]]:
    """Return the rights of a role: group, resource, verb."""
    (found,) = [each for each in of_kind("least-rights.yaml", "ClusterRole") if each["metadata"]["name"] == role]
    return {right for rule in found["rules"] for right in triples(rule, "apiGroups", "resources", "verbs")}


def triples(rule: Json, groups: str, resources: str, verbs: str) -> Iterator[tuple[str, str, str]]:
    """Go through what a rule of a role or of a policy names together."""
    for group in rule.get(groups, ()):
        yield from ((group, resource, verb) for resource in rule[resources] for verb in rule[verbs])


CHANGES = {"create", "delete", "deletecollection", "patch", "update"}
ROLES = [each["metadata"]["name"] for each in of_kind("least-rights.yaml", "ClusterRole")]


def test_all_that_is_watched_may_be_read_and_no_more() -> None:
    """One right that is missing, and the caches never sync."""
    watched: list[Resource] = []

    def note(_kube: object, resource: Resource, _kept: type) -> None:
        watched.append(resource)

    Caches.of(None, note)  # type: ignore[arg-type]
    wanted = {(each.group, each.plural, verb) for each in watched for verb in ("get", "list", "watch")}
    assert rights("kintsugi-see") == wanted
    paths = [
        rule
        for each in of_kind("least-rights.yaml", "ClusterRole")
        for rule in each["rules"]
        if "resources" not in rule
    ]
    health = [path for name in ("healthz", "livez", "readyz") for path in (f"/{name}", f"/{name}/*")]
    assert paths == [{"nonResourceURLs": [*health, "/version"], "verbs": ["get"]}]


def test_changes_are_deleting_evicting_and_resizing_pods_and_patching_workloads() -> None:
    """The rights to change are bound in namespaces; what is granted everywhere only reads, or keeps a volume."""
    assert {right for right in rights("kintsugi-changes") if right[2] in CHANGES} == {
        ("", "events", "create"),
        ("", "pods/exec", "create"),
        ("", "pods", "delete"),
        ("", "pods/eviction", "create"),
        ("", "pods/resize", "patch"),
        *(("apps", workload, "patch") for workload in ("daemonsets", "deployments", "statefulsets")),
    }
    bound = {each["roleRef"]["name"] for each in of_kind("least-rights.yaml", "ClusterRoleBinding")}
    assert bound == {"kintsugi-see", "kintsugi-volumes", "kintsugi-diagnose", "kintsugi-keep-volumes"}
    in_namespaces = {each["roleRef"]["name"] for each in of_kind("least-rights.yaml", "RoleBinding")}
    assert in_namespaces == {"kintsugi-changes", "kintsugi-restore"}


def test_what_is_granted_for_one_purpose_is_what_that_needs() -> None:
    """Volumes are only read, a diagnosis lists nothing that holds contents, a restore deletes claims and never a volume."""
    assert rights("kintsugi-volumes") == {
        (group, resource, verb)
        for group, resource in (
            ("", "persistentvolumes"),
            ("storage.k8s.io", "storageclasses"),
            ("metrics.k8s.io", "nodes"),
        )
        for verb in ("get", "list")
    }
    assert rights("kintsugi-diagnose") == {
        ("networking.k8s.io", "networkpolicies", "list"),
        ("policy", "poddisruptionbudgets", "list"),
        ("apps", "controllerrevisions", "list"),
        ("metrics.k8s.io", "pods", "list"),
        ("admissionregistration.k8s.io", "validatingwebhookconfigurations", "list"),
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", "list"),
    }
    assert rights("kintsugi-keep-volumes") == {("", "persistentvolumes", "patch")}
    assert rights("kintsugi-restore") == {
        *(("", "persistentvolumeclaims", verb) for verb in ("create", "delete")),
        *(("batch", "jobs", verb) for verb in ("get", "create", "delete")),
        *(("batch", "cronjobs", verb) for verb in ("get", "patch")),
    }


def test_no_right_is_a_wildcard_or_about_secrets() -> None:
    """A wildcard grants what nobody has read."""
    every = [right for role in ROLES for right in rights(role)]
    assert [right for right in every if "*" in right or right[1] == "secrets"] == []


OPERATIONS = {"patch": "UPDATE", "create": "CREATE", "delete": "DELETE"}
NOT_HELD = {
    ("", "pods", "DELETE"),
    ("", "pods/eviction", "CREATE"),
    ("", "pods/resize", "UPDATE"),
    ("", "events", "CREATE"),
    ("", "persistentvolumeclaims", "DELETE"),
}
"""Rights that docs/security.md names as what remains: no policy can know which pod or claim is meant."""
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
        each
        for policy in POLICIES
        for rule in policy["spec"]["matchConstraints"]["resourceRules"]
        for each in triples(rule, "apiGroups", "resources", "operations")
    }
    granted = {
        (group, resource, "CONNECT" if resource == "pods/exec" else OPERATIONS[verb])
        for role in ROLES
        for group, resource, verb in rights(role)
        if verb in OPERATIONS
    }
    assert granted - held == NOT_HELD


def variables(policy: str) -> dict[str, str]:
    """Return the variables of a policy by their names."""
    (found,) = [each for each in POLICIES if each["metadata"]["name"] == policy]
    return {each["name"]: each["expression"] for each in found["spec"]["variables"]}


def test_jobs_are_held_to_the_image_that_the_deployment_names() -> None:
    (image,) = [each["value"] for each in pod()[1]["env"] if each["name"] == "KINTSUGI_IMAGE"]
    assert variables("kintsugi-jobs")["image"] == f"'{image}'"


def test_a_job_of_a_cronjob_is_let_in_in_the_words_that_are_written() -> None:
    (policy,) = [each for each in POLICIES if each["metadata"]["name"] == "kintsugi-jobs"]
    allowed = {each["name"]: each["expression"] for each in policy["spec"]["matchConditions"]}["not-of-a-cronjob"]
    metadata = manifest("now", "production", {}, {RUN: "run-1"})["metadata"]
    assert isinstance(metadata, dict)
    (owner,) = metadata["ownerReferences"]
    written = (*metadata["labels"], *metadata["annotations"], *metadata["annotations"].values())
    assert [each for each in (*written, owner["kind"], owner["apiVersion"], RIGHT) if f"'{each}'" not in allowed] == []


def test_each_program_that_is_run_in_containers_is_let_in_in_the_words_that_are_sent() -> None:
    allowed = " ".join(variables("kintsugi-exec").values())
    sent = words(Psql(statement="SELECT 1"), timedelta(seconds=10))
    assert len(sent) == 10
    assert [word for word in (*sent[:5], *sent[6:-1]) if f"'{word}'" not in allowed] == []
    assert f"startsWith('{sent[-1][:40]}" in allowed


def test_the_policy_and_the_guide_list_the_programs_that_are_run_in_containers() -> None:
    assert policy_of_programs() in TEXT["admission-policies.yaml"]
    assert programs() in (DOCS / "runbooks.md").read_text()
    security = (DOCS / "security.md").read_text()
    assert [name for name in PROGRAMS if f"`{name}`" not in security] == []


def compiled(policy: str, expression: str) -> cel.Expression:
    """Compile an expression of a policy, with its variables put in."""
    known: dict[str, str] = {}

    def whole(text: str) -> str:
        return re.sub(r"variables\.(\w+)", lambda found: f"({known[found[1]]})", text)

    for name, text in variables(policy).items():
        known[name] = whole(text)
    given = dict.fromkeys(("object", "oldObject"), cel.Type.DYN)
    return cel.NewEnv(variables=given, extensions=[ext_strings.ExtStrings()]).compile(whole(expression))


@pytest.fixture(scope="module")
def looks() -> cel.Expression:
    """Return what the policy says of the words of a program, with its variables put in."""
    return compiled("kintsugi-exec", "variables.looks")


@pytest.mark.parametrize("timed", [(), ("timeout", "-k", "2", "9")])
def test_the_policy_takes_the_words_that_kintsugi_takes_and_no_others(looks: cel.Expression, timed: Any) -> None:
    def takes(line: str) -> bool:
        return bool(looks.eval(data={"object": {"command": [*timed, *shlex.split(line)]}}).value())

    assert [line for line in TAKEN if not takes(line)] == []
    assert [line for line, _ in REFUSED if takes(line)] == []


OBJECT: Json = {
    "apiVersion": "x.io/v1",
    "kind": "X",
    "metadata": {"name": "x", "resourceVersion": "1"},
    "spec": {"a": 1},
    "status": {},
}
ABOUT: Json = OBJECT["metadata"]


@pytest.mark.parametrize(
    ("made", "is_taken"),
    [
        ({"spec": {"a": 2, "b": 3}}, True),
        ({"metadata": {**ABOUT, "labels": {"a": "b"}, "annotations": {"c": "d"}, "resourceVersion": "2"}}, True),
        ({"metadata": {**ABOUT, "finalizers": ["a/b"]}}, False),
        ({"metadata": {**ABOUT, "ownerReferences": []}}, False),
        ({"status": {"ready": True}}, False),
        ({"operation": {"sync": {}}}, False),
    ],
)
def test_of_an_object_of_another_type_specification_labels_and_annotations_are_changed_and_taken_back(
    made: Json, is_taken: bool
) -> None:
    (policy,) = [each for each in POLICIES if each["metadata"]["name"] == "kintsugi-other-types"]
    (validation,) = policy["spec"]["validations"]
    taken = compiled("kintsugi-other-types", validation["expression"])
    for old, new in ((OBJECT, {**OBJECT, **made}), ({**OBJECT, **made}, OBJECT)):
        assert taken.eval(data={"oldObject": old, "object": new}).value() is is_taken
