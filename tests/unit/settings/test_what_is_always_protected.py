"""The namespaces that no setting takes out of protection: the cluster's own, and the one that we run in."""

from pathlib import Path

import pytest

from kintsugi.settings import Settings, SettingsError, load

CLUSTER = {"kube-system", "kube-public", "kube-node-lease"}
OPEN = {"KINTSUGI_SERVER__INSECURE_NO_TOKEN": "true"}


@pytest.fixture
def pod(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a pod that runs in `ops`."""
    (tmp_path / "namespace").write_text("ops\n")
    return OPEN | {"KINTSUGI_KUBE__SERVICE_ACCOUNT_DIR": str(tmp_path)}


def test_a_setting_adds_to_the_cluster_s_own_and_takes_none_out() -> None:
    """E23."""
    settings = load(environ=OPEN | {"KINTSUGI_GUARDS__PROTECTED_NAMESPACES": "monitoring"})
    assert settings.protected_namespaces == CLUSTER | {"monitoring", "kintsugi"}
    assert Settings().protected_namespaces == CLUSTER | {"kintsugi"}


def test_the_namespace_of_the_service_account_is_protected_though_nobody_names_it(pod: dict[str, str]) -> None:
    """E23: who deploys it into another namespace than the documented one must not have to say so twice."""
    settings = load(environ=pod)
    assert settings.namespace == "ops"
    assert "ops" in settings.protected_namespaces
    assert load(environ=pod | {"KINTSUGI_NAMESPACE": "ops"}).namespace == "ops"


def test_another_namespace_than_the_service_account_s_is_refused(pod: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as caught:
        load(environ=pod | {"KINTSUGI_NAMESPACE": "kintsugi"})

    (line,) = caught.value.problems
    assert line.startswith("environment: KINTSUGI_NAMESPACE: namespace: kintsugi, but this pod runs in ops (")
    assert "guards.protectedNamespaces" in line


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"no name"])
def test_a_file_that_names_no_namespace_is_no_reason_to_protect_none(
    pod: dict[str, str], tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "namespace").write_bytes(content)
    with pytest.raises(SettingsError, match=r"namespace: .*namespace"):
        load(environ=pod)


def test_with_a_kubeconfig_the_settings_say_where_we_are(pod: dict[str, str], tmp_path: Path) -> None:
    environ = pod | {"KINTSUGI_KUBE__KUBECONFIG": str(tmp_path / "config")}
    assert load(environ=environ).namespace == "ops"
    assert load(environ=environ | {"KINTSUGI_NAMESPACE": "mending"}).namespace == "mending"


def test_a_misspelt_namespace_is_refused_instead_of_protecting_nothing() -> None:
    with pytest.raises(SettingsError, match="'Kube_System' is not the name of an object"):
        load(environ=OPEN | {"KINTSUGI_GUARDS__PROTECTED_NAMESPACES": "Kube_System"})
