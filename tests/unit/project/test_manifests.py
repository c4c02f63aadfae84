"""The manifests of the documentation: what a pod of them may use up, and who may read which of its tokens."""

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


def test_its_namespace_enforces_the_standard_that_the_pod_keeps_to() -> None:
    labels = shown("least-rights.yaml", "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_what_it_writes_cannot_fill_the_node() -> None:
    volumes = {each["name"]: each for each in pod()["volumes"]}
    assert volumes["tmp"]["emptyDir"]["sizeLimit"]
    (container,) = pod()["containers"]
    assert container["resources"]["limits"]["ephemeral-storage"]


def test_the_webhook_s_tokens_and_those_of_people_are_two_secrets_and_found_where_the_settings_say() -> None:
    settings = yaml.safe_load(shown("deployment.yaml", "ConfigMap")["data"]["kintsugi.yaml"])
    (container,) = pod()["containers"]
    folder = next(each["mountPath"] for each in container["volumeMounts"] if each["name"] == "tokens")
    (volume,) = [each for each in pod()["volumes"] if each["name"] == "tokens"]
    secrets = [each["secret"]["name"] for each in volume["projected"]["sources"]]
    assert secrets == ["kintsugi-webhook", "kintsugi-operators"]
    assert settings["alertmanager"]["token_files"] == [f"{folder}/webhook"]
    assert settings["server"]["operator_token_files"] == [f"{folder}/operators"]
    told = (DOCS / "deployment.yaml").read_text() + (DOCS.parent / "README.md").read_text()
    for secret in secrets:
        key = secret.removeprefix("kintsugi-")
        assert told.count(f"create secret generic {secret} --from-file={key}=") == 2
