"""Where settings come from, what is always protected, and what is said of wrong ones."""

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest

from kintsugi.settings import Settings, SettingsError, check_watchdogs, known_settings, load
from kintsugi.settings.fields import camel, snake
from tests.harness.daemon import ROOT

OPEN = {"KINTSUGI_SERVER__INSECURE_NO_TOKEN": "true"}


def settings_file(folder: Path, text: str) -> Path:
    path = folder / "k.yaml"
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


CHANGEABLE = ("certificates.cert-manager.io", "httproutes.gateway.networking.k8s.io", "certificates.k8s.io.example.com")
NOT_CHANGEABLE = (
    *("certificates", "jobs.batch", "*.cert-manager.io", "Rollouts.argoproj.io", "rollouts/scale.argoproj.io"),
    *(
        "rolebindings.rbac.authorization.k8s.io",
        "leases.coordination.k8s.io",
        "flowschemas.flowcontrol.apiserver.k8s.io",
    ),
)

HOSTS = ("runbooks.example.com", "wiki", "10.0.0.1")
NO_HOSTS = ("https://runbooks.example.com", "runbooks.example.com:443", "example.com/runbooks", "*.example.com", "Wiki")


def test_the_chart_takes_the_hosts_of_pages_as_the_setting_does() -> None:
    schema = json.loads((ROOT / "helm" / "kintsugi" / "values.schema.json").read_text())
    pattern = schema["properties"]["pages"]["properties"]["hosts"]["items"]["pattern"]
    assert [each for each in (*HOSTS, *NO_HOSTS) if re.search(pattern, each)] == [*HOSTS]
    assert load(environ=OPEN | {"KINTSUGI_PAGES__HOSTS": ",".join(HOSTS)}).pages.hosts == set(HOSTS)


def test_the_chart_takes_the_types_that_may_be_changed_as_the_setting_does() -> None:
    schema = json.loads((ROOT / "helm" / "kintsugi" / "values.schema.json").read_text())
    items = schema["properties"]["rbac"]["properties"]["changeKinds"]["items"]

    def takes(name: str) -> bool:
        return bool(re.search(items["pattern"], name)) and not re.search(items["not"]["pattern"], name)

    assert [each for each in CHANGEABLE if not takes(each)] == [each for each in NOT_CHANGEABLE if takes(each)] == []
    chosen = load(environ=OPEN | {"KINTSUGI_GUARDS__CHANGE_KINDS": ",".join(CHANGEABLE)}).guards.change_kinds
    assert chosen == set(CHANGEABLE)


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


CLUSTER = {"kube-system", "kube-public", "kube-node-lease"}


@pytest.fixture
def pod(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a pod that runs in `ops`."""
    (tmp_path / "namespace").write_text("ops\n")
    return OPEN | {"KINTSUGI_KUBE__SERVICE_ACCOUNT_DIR": str(tmp_path)}


def test_a_setting_adds_to_the_cluster_s_own_and_the_daemon_s_and_takes_none_out() -> None:
    """E23."""
    settings = load(environ=OPEN | {"KINTSUGI_NAMESPACE": "mending", "KINTSUGI_GUARDS__PROTECTED_NAMESPACES": "a"})
    assert settings.protected_namespaces == CLUSTER | {"a", "mending"}
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


def problems(tmp_path: Path, text: str = "", **environ: str) -> list[str]:
    """Load what is wrong and give the complaints, the file's directory cut off."""
    with pytest.raises(SettingsError) as caught:
        load(environ=OPEN | environ, file=settings_file(tmp_path, text))
    return [line.replace(f"{tmp_path}/", "") for line in caught.value.problems]


def test_all_mistakes_are_told_together(tmp_path: Path) -> None:
    lines = problems(tmp_path, "server:\n  port: eighty\nguards:\n  budget: 0\n", KINTSUGI_MODE="loud")

    assert [line.split(": ")[0] for line in sorted(lines)] == ["environment", "k.yaml:2:3", "k.yaml:4:3"]


def test_an_unknown_variable_is_refused_too(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, KINTSUGI_LEDGR__URL="x")

    assert line == "environment: KINTSUGI_LEDGR__URL: ledgr: there is no such setting; did you mean ledger?"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("server:\n  prot: 80\n", "k.yaml:2:3: server.prot: there is no such setting; did you mean server.port?"),
        ("guards: {max_unavailable: 40%}", "there is no such setting; did you mean guards.maxUnavailable?"),
        ("server: {port: 1, port: 2}", "k.yaml:1:19: port is written twice"),
        ("server: &a {port: 1}\nkube: *a", "k.yaml:1:9: an alias (`*name`): write the value itself"),
        ("server: [", ": not YAML: "),
        ("- 1", "k.yaml:1:1: not a mapping"),
        ("kube: 5", "k.yaml:1:1: kube: a section: write its settings below it"),
        ("watchdog: {verify: 5x}", "k.yaml:1:12: watchdog.verify: '5x' is not a duration"),
        ("watchdog: {verify: 9000h}", "'9000h' is longer than a year"),
        ("watchdog: {verify: 0}", "k.yaml:1:12: watchdog.verify: must be longer than 0s"),
        ("notifications: {url: 'ftp://x'}", "not an address over HTTP"),
        ("restore: {volumeSize: 20GB}", "k.yaml:1:11: restore.volumeSize: '20GB' is not a Kubernetes quantity"),
        ("restore: {volumeSize: '0'}", "'0' is not a Kubernetes quantity"),
        ("restore: {existingClaim: Backups}", "'Backups' is not the name of an object"),
        ("restore: {image: 'a image'}", "'a image' is not an image"),
        ("restore: {s3: {endpoint: 'minio:9000'}}", "restore.s3.endpoint: not an address over HTTP"),
        ("restore: {s3: {credential: x}}", "did you mean restore.s3.credentials?"),
        ("restore: {startTimeout: 12h}", "restore.startTimeout: 12h is not below restore.activeDeadline"),
        (
            "guards: {maxUnavailable: 0%}",
            "k.yaml:1:10: guards.maxUnavailable: '0%' is not a percentage from 1% to 100%",
        ),
        *(
            (
                f"guards: {{changeKinds: ['{each}']}}",
                f"'{each}' is not a type whose objects may be changed: write PLURAL.GROUP",
            )
            for each in NOT_CHANGEABLE
        ),
        *(
            (
                f"pages: {{hosts: ['{each}']}}",
                f"'{each}' is not a host: write its name alone, in lower case, as in runbooks.example.com",
            )
            for each in NO_HOSTS
        ),
        ("guards: {maxUnavailable: 101%}", "'101%' is not a percentage"),
        ("guards: {maxUnavailable: '0.5'}", "'0.5' is not a percentage"),
        (
            "guards: {maxConcurrentServices: 2, maxConcurrentServicesPerNamespace: 3}",
            "guards.maxConcurrentServicesPerNamespace: 3 is above guards.maxConcurrentServices (2)",
        ),
        ("guards: {maxConcurrentServicesPerNamespace: 0}", "should be greater than or equal to 1"),
        ("mode: reckless", "k.yaml:1:1: mode: Input should be 'observe', 'approve' or 'auto'"),
        ("kube: {requestTimeout: 2m}", "2m is not below kube.staleAfter (1m30s)"),
        ("watchdog: {verify: 15m}", "15m is not below watchdog.alertLag (15m)"),
        ("alertmanager: {pollTimeout: 30s}", "30s is not below alertmanager.pollInterval (30s)"),
        ("server: {port: 9000}\nhealth: {port: 9000}", "k.yaml:2:10: health.port: 9000 is also server.port"),
        ("server: {port: 8081}", "health.port: 8081 is also server.port"),
        ("server: {tlsCertificateFile: k.yaml}", "server.tlsKeyFile: not set, but server.tlsCertificateFile is"),
        ("server: {tlsKeyFile: k.yaml}", "server.tlsCertificateFile: not set, but server.tlsKeyFile is"),
        ("server: {tlsKeyFile: x, tlsCertificateFile: y}", "server.tlsKeyFile: x is not a file"),
    ],
)
def test_each_mistake_says_where_and_what_would_be_right(tmp_path: Path, text: str, complaint: str) -> None:
    assert any(complaint in line for line in problems(tmp_path, text)), problems(tmp_path, text)


def test_names_are_camel_case_in_the_file_and_nowhere_else() -> None:
    names = [name for name, _ in known_settings()]
    assert not [name for name in names if "_" in name]
    assert all(camel(snake(name)) == name for name in names)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (
            None,
            "it cannot be read: No such file or directory; the file must contain keys, as `openssl rand -base64 32` creates them",
        ),
        ("", "there is no key in it: write one a line, 32 bytes in base64, as `openssl rand -base64 32` makes them"),
        ("# one\nc2hvcnQ=\n", "line 2: the key has 5 bytes: write 32 bytes in base64"),
        ("hunter2!\n", "line 1: it is not base64"),
    ],
)
def test_a_file_of_keys_that_is_no_good_is_refused_at_start(
    tmp_path: Path, content: str | None, complaint: str
) -> None:
    """E4: what is wrong is said by its place, and no key is."""
    keys = tmp_path / "keys"
    if content is not None:
        keys.write_text(content, encoding="utf-8")

    (line,) = problems(tmp_path, f"ledger:\n  encryptionKeyFile: {keys}\n")

    assert line.startswith("k.yaml:2:3: ledger.encryptionKeyFile: keys: ")
    assert complaint in line
    assert "hunter2" not in line


def test_a_rollback_that_would_come_before_a_recovery_can_be_seen_is_found() -> None:
    settings = load(environ=OPEN)

    wrong = check_watchdogs(settings, {"hasty": timedelta(minutes=2), "calm": timedelta(minutes=30)})

    assert list(wrong) == ["hasty"]


def test_a_webhook_without_a_token_needs_the_explicit_flag() -> None:
    """Whoever may post may start runbooks: an open port must be somebody's decision."""
    with pytest.raises(SettingsError, match="--insecure-no-token"):
        load(environ={})


def test_a_token_file_that_is_not_there_is_found_at_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="gone is not a file: the file must contain a token"):
        load(environ={"KINTSUGI_ALERTMANAGER__TOKEN_FILES": f"{tmp_path}/gone"})


def test_a_value_that_is_refused_is_not_repeated_where_it_may_be_secret(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, "notifications: {url: 'postgres://ana:hunter2@db/x'}")

    assert "hunter2" not in line


def test_every_setting_is_documented() -> None:
    undocumented = [name for name, text in known_settings() if len(text) < 20]

    assert undocumented == []


def test_both_ports_may_be_any_free_one(tmp_path: Path) -> None:
    file = settings_file(tmp_path, "server: {port: 0}\nhealth: {port: 0}\n")
    assert load(environ=OPEN, file=file).health.port == 0
