"""Who is heard when flags, environment and file disagree."""

from datetime import timedelta
from pathlib import Path

import pytest

from kintsugi.settings import Settings, load

OPEN = {"KINTSUGI_SERVER__INSECURE_NO_TOKEN": "true"}


def settings_file(folder: Path, text: str) -> Path:
    path = folder / "kintsugi.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_any_source_nothing_is_acted_upon() -> None:
    """A new installation observes: somebody has to say so before anything is changed."""
    settings = load(environ=OPEN)

    assert settings.mode == "observe"
    assert settings.durations == 1.0
    assert settings.server.port == 8080
    assert settings.ledger.url == "sqlite:////var/lib/kintsugi/ledger.db"


def test_a_flag_is_heard_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = settings_file(tmp_path, "server: {port: 1, host: one}\nmode: auto\n")

    settings = load(
        flags={"server.port": 3}, environ=OPEN | {"KINTSUGI_SERVER__PORT": "2", "KINTSUGI_MODE": "approve"}, file=file
    )

    assert (settings.server.port, settings.mode, settings.server.host) == (3, "approve", "one")


def test_a_flag_that_was_not_given_hides_nothing(tmp_path: Path) -> None:
    file = settings_file(tmp_path, "server: {port: 1}\n")

    assert load(flags={"server.port": None}, environ=OPEN, file=file).server.port == 1


def test_lists_come_from_the_file_and_comma_separated_from_the_environment(tmp_path: Path) -> None:
    file = settings_file(tmp_path, "guards:\n  protectedNamespaces: [a, b]\n")

    from_file = load(environ=OPEN, file=file)
    from_environment = load(environ=OPEN | {"KINTSUGI_GUARDS__PROTECTED_NAMESPACES": "c, d"}, file=file)

    assert from_file.guards.protected_namespaces == {"a", "b"}
    assert from_environment.guards.protected_namespaces == {"c", "d"}


def test_the_daemons_own_namespace_is_always_protected() -> None:
    settings = load(environ=OPEN | {"KINTSUGI_NAMESPACE": "mending", "KINTSUGI_GUARDS__PROTECTED_NAMESPACES": "a"})

    assert settings.protected_namespaces == {"a", "mending", "kube-system", "kube-public", "kube-node-lease"}


def test_durations_scale_the_guards_and_the_watchdog_but_not_the_machines() -> None:
    settings = load(environ=OPEN | {"KINTSUGI_DURATIONS": "0.1", "KINTSUGI_WATCHDOG__VERIFY": "1m30s"})

    assert settings.watchdog.verify == timedelta(seconds=9)
    assert settings.guards.cooldown_max == timedelta(minutes=12)
    assert settings.kube.request_timeout == timedelta(seconds=30)
    assert settings.guards.budget == 20


@pytest.mark.parametrize(
    "variable",
    [
        "KINTSUGI_PORT",
        "KINTSUGI_PORT_8080_TCP_ADDR",
        "KINTSUGI_SERVICE_HOST",
        "KINTSUGI_SERVICE_PORT_HTTP",
        "KINTSUGI_WEBHOOK_SERVICE_HOST",
        "KINTSUGI_SERVER",
    ],
)
def test_variables_that_kubernetes_and_the_command_line_set_are_no_settings(variable: str) -> None:
    """Kubernetes announces a Service named kintsugi in every pod's environment; the daemon must still start."""
    assert load(environ=OPEN | {variable: "tcp://10.0.0.1:8080"}) == load(environ=OPEN)


def test_settings_cannot_be_changed_once_they_are_read() -> None:
    settings: Settings = load(environ=OPEN)

    with pytest.raises(AttributeError, match="cannot assign"):
        settings.mode = "auto"  # type: ignore[misc]


def test_the_daemons_own_image_is_that_of_its_workers_unless_another_is_named() -> None:
    """The manifest that says from which image the daemon runs says it to the daemon, too."""
    assert load(environ=OPEN).restore.image is None
    own = OPEN | {"KINTSUGI_IMAGE": "registry/kintsugi:1.0"}
    assert load(environ=own).restore.image == "registry/kintsugi:1.0"
    assert load(environ=own | {"KINTSUGI_RESTORE__IMAGE": "registry/worker:2"}).restore.image == "registry/worker:2"
    assert load(environ=OPEN | {"KINTSUGI_RESTORE__S3__REGION": "eu-1"}).restore.s3.region == "eu-1"
