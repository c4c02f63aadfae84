"""What is said about settings that cannot be right: the place, the fault, the remedy, and all of it at once."""

from datetime import timedelta
from pathlib import Path

import pytest

from kintsugi.settings import SettingsError, check_watchdogs, known_settings, load
from kintsugi.settings.fields import camel, snake

OPEN = {"KINTSUGI_SERVER__INSECURE_NO_TOKEN": "true"}


def problems(tmp_path: Path, text: str = "", **environ: str) -> list[str]:
    """Load what is wrong and give the complaints, the file's directory cut off."""
    path = tmp_path / "k.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load(environ=OPEN | environ, file=path)
    return [line.replace(f"{tmp_path}/", "") for line in caught.value.problems]


def test_all_mistakes_are_told_together(tmp_path: Path) -> None:
    lines = problems(tmp_path, "server:\n  port: eighty\nguards:\n  budget: 0\n", KINTSUGI_MODE="loud")

    assert [line.split(": ")[0] for line in sorted(lines)] == ["environment", "k.yaml:2:3", "k.yaml:4:3"]


def test_an_unknown_key_is_refused_with_its_place_and_the_nearest_known_one(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, "server:\n  prot: 80\n")

    assert line == "k.yaml:2:3: server.prot: there is no such setting; did you mean server.port?"


def test_an_unknown_variable_is_refused_too(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, KINTSUGI_LEDGR__URL="x")

    assert line == "environment: KINTSUGI_LEDGR__URL: ledgr: there is no such setting; did you mean ledger?"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
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
        ("guards: {maxUnavailable: 101%}", "'101%' is not a percentage"),
        ("guards: {maxUnavailable: '0.5'}", "'0.5' is not a percentage"),
        (
            "guards: {maxConcurrentServices: 2, maxConcurrentServicesPerNamespace: 3}",
            "guards.maxConcurrentServicesPerNamespace: 3 is above guards.maxConcurrentServices (2)",
        ),
        ("guards: {maxConcurrentServicesPerNamespace: 0}", "should be greater than or equal to 1"),
        ("mode: reckless", "k.yaml:1:1: mode: Input should be 'observe', 'approve' or 'auto'"),
    ],
)
def test_each_mistake_says_where_and_what_would_be_right(tmp_path: Path, text: str, complaint: str) -> None:
    assert any(complaint in line for line in problems(tmp_path, text)), problems(tmp_path, text)


def test_a_name_in_snake_case_is_refused_with_the_one_in_camel_case(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, "guards: {max_unavailable: 40%}")

    assert line == "k.yaml:1:10: guards.max_unavailable: there is no such setting; did you mean guards.maxUnavailable?"


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


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("kube: {requestTimeout: 2m}", "2m is not below kube.staleAfter (1m30s)"),
        ("watchdog: {verify: 15m}", "15m is not below watchdog.alertLag (15m)"),
        ("alertmanager: {pollTimeout: 30s}", "30s is not below alertmanager.pollInterval (30s)"),
    ],
)
def test_deadlines_that_contradict_each_other_are_refused_at_start(tmp_path: Path, text: str, complaint: str) -> None:
    (line,) = problems(tmp_path, text)

    assert complaint in line


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


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("server: {port: 9000}\nhealth: {port: 9000}", "k.yaml:2:10: health.port: 9000 is also server.port"),
        ("server: {port: 8081}", "health.port: 8081 is also server.port"),
        ("server: {tlsCertificateFile: k.yaml}", "server.tlsKeyFile: not set, but server.tlsCertificateFile is"),
        ("server: {tlsKeyFile: k.yaml}", "server.tlsCertificateFile: not set, but server.tlsKeyFile is"),
        ("server: {tlsKeyFile: x, tlsCertificateFile: y}", "server.tlsKeyFile: x is not a file"),
    ],
)
def test_ports_and_certificates_that_contradict_each_other_are_refused(
    tmp_path: Path, text: str, complaint: str
) -> None:
    assert any(complaint in line for line in problems(tmp_path, text)), problems(tmp_path, text)


def test_both_ports_may_be_any_free_one(tmp_path: Path) -> None:
    file = tmp_path / "k.yaml"
    file.write_text("server: {port: 0}\nhealth: {port: 0}\n", encoding="utf-8")
    assert load(environ=OPEN, file=file).health.port == 0
