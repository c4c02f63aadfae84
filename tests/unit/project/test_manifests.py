"""The manifests of the documentation: what a pod of them may use up, who may come to its ports and read which of its tokens."""

from pathlib import Path
from typing import Any

import yaml

DOCS = Path(__file__).parents[3] / "docs"


def shown(file: str, kind: str) -> dict[str, Any]:
    """Return the one object of a kind in a file."""
    (found,) = [each for each in yaml.safe_load_all((DOCS / file).read_text()) if each["kind"] == kind]
    return dict(found)


def pod() -> dict[str, Any]:
    """Return what the Deployment's pods are."""
    return dict(shown("deployment.yaml", "Deployment")["spec"]["template"]["spec"])


def test_the_namespace_enforces_the_standard_that_the_pod_keeps_to() -> None:
    labels = shown("least-rights.yaml", "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_pod_cannot_fill_the_node() -> None:
    volumes = {each["name"]: each for each in pod()["volumes"]}
    assert volumes["tmp"]["emptyDir"]["sizeLimit"]
    (container,) = pod()["containers"]
    assert container["resources"]["limits"]["ephemeral-storage"]


def test_a_key_for_what_is_written_back_is_mounted_where_the_manifest_says_and_may_be_missing() -> None:
    (volume,) = [each for each in pod()["volumes"] if each["name"] == "encryption"]
    assert volume["secret"]["optional"] is True
    (container,) = pod()["containers"]
    folder = next(each["mountPath"] for each in container["volumeMounts"] if each["name"] == "encryption")
    told = (DOCS / "deployment.yaml").read_text() + (DOCS / "operations.md").read_text()
    assert told.count(f"encryptionKeyFile: {folder}/keys") == 2
    assert told.count(f"create secret generic {volume['secret']['secretName']} --from-file=keys=encryption.keys") == 2


def test_the_webhook_s_tokens_and_those_of_people_are_two_secrets_and_found_where_the_settings_say() -> None:
    settings = yaml.safe_load(shown("deployment.yaml", "ConfigMap")["data"]["kintsugi.yaml"])
    (container,) = pod()["containers"]
    folder = next(each["mountPath"] for each in container["volumeMounts"] if each["name"] == "tokens")
    (volume,) = [each for each in pod()["volumes"] if each["name"] == "tokens"]
    secrets = [each["secret"]["name"] for each in volume["projected"]["sources"]]
    assert secrets == ["kintsugi-webhook", "kintsugi-operators"]
    assert settings["alertmanager"]["tokenFiles"] == [f"{folder}/webhook"]
    assert settings["server"]["operatorTokenFiles"] == [f"{folder}/operators"]
    told = (DOCS / "deployment.yaml").read_text() + (DOCS.parent / "README.md").read_text()
    for secret in secrets:
        key = secret.removeprefix("kintsugi-")
        assert told.count(f"create secret generic {secret} --from-file={key}=") == 2


def test_each_port_of_the_pod_is_open_to_whom_the_network_policy_names_and_to_nobody_else() -> None:
    policy = shown("network-policy.yaml", "NetworkPolicy")
    deployment = shown("deployment.yaml", "Deployment")
    assert policy["metadata"]["namespace"] == deployment["metadata"]["namespace"]
    assert policy["spec"]["podSelector"] == deployment["spec"]["selector"]
    assert policy["spec"]["policyTypes"] == ["Ingress"]
    (container,) = pod()["containers"]
    named = [port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]]
    assert named == [port["name"] for port in container["ports"]]
    peers = [each for rule in policy["spec"]["ingress"] for each in rule["from"]]
    own = [each for each in peers if "namespaceSelector" not in each]
    assert own == [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "kintsugi-test"}}}]
    assert all(each["namespaceSelector"]["matchLabels"] for each in peers if each not in own)


def test_every_manifest_is_applied_where_people_are_told_how_it_is_run() -> None:
    told = (DOCS.parent / "README.md").read_text()
    for file in DOCS.glob("*.yaml"):
        assert f"kubectl apply -f docs/{file.name}\n" in told, file.name
