"""Every flag of `kintsugi run` is a setting; mistakes name a flag that can be typed."""

import re
from dataclasses import fields, replace
from pathlib import Path
from typing import get_args

import pytest

from kintsugi.cli import main
from kintsugi.cli.daemon import SPELLINGS, RunFlags
from kintsugi.settings import Settings, known_settings, load
from kintsugi.settings.fields import snake

GIVEN = RunFlags(
    mode="approve",
    catalog=Path("rules"),
    catalog_directory=Path("all"),
    ledger="sqlite:///x.db",
    kubeconfig=Path("kubeconfig"),
    context="c",
    host="127.0.0.1",
    port=0,
    health_port=0,
    insecure_no_token=True,
    durations=0.5,
    log_level="debug",
    log_format="json",
)


def test_each_flag_reaches_its_setting() -> None:
    settings = load(flags=GIVEN.settings(), environ={}, file=None)
    assert (settings.mode, settings.durations) == ("approve", 0.5)
    assert (settings.catalog.additions, settings.catalog.example) == ((Path("rules"),), False)
    assert (settings.catalog.directory, settings.ledger.url) == (Path("all"), "sqlite:///x.db")
    assert (settings.kube.kubeconfig, settings.kube.context) == (Path("kubeconfig"), "c")
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 0)
    assert settings.health.port == 0
    assert (settings.telemetry.log_level, settings.telemetry.log_format) == ("debug", "json")


def test_files_with_tokens_reach_their_settings(tmp_path: Path) -> None:
    webhook, people = tmp_path / "webhook", tmp_path / "people"
    webhook.write_text("the-webhooks-token", encoding="utf-8")
    people.write_text("ana:the-token-of-ana", encoding="utf-8")
    flags = replace(GIVEN, insecure_no_token=False, webhook_tokens=webhook, operator_tokens=people)
    settings = load(flags=flags.settings(), environ={}, file=None)
    assert (settings.alertmanager.token_files, settings.server.operator_token_files) == ((webhook,), (people,))
    assert settings.server.insecure_no_token is False


def test_a_flag_that_was_not_given_leaves_the_environment_alone() -> None:
    environ = {"KINTSUGI_MODE": "auto", "KINTSUGI_SERVER__INSECURE_NO_TOKEN": "true", "KINTSUGI_SERVER__PORT": "81"}
    settings = load(flags=RunFlags().settings(), environ=environ, file=None)
    assert (settings.mode, settings.server.port) == ("auto", 81)
    assert load(flags=replace(GIVEN, port=82).settings(), environ=environ, file=None).server.port == 82


def test_every_flag_has_the_name_by_which_mistakes_call_it() -> None:
    """`load` names a wrong value by its flag's first spelling, else by `--SECTION-KEY`: that flag must be there."""
    assert set(RunFlags().settings()) <= {name for name, _ in known_settings()}
    spellings = {name for each in fields(RunFlags) for name in _names(each.name, each.type)}
    said = RunFlags().settings().keys() - {"catalog.example"}  # it follows from --catalog, and is never wrong
    assert {SPELLINGS.get(name, f"--{re.sub('[._]', '-', snake(name))}") for name in said} <= spellings
    firsts = {_names(each.name, each.type)[0] for each in fields(RunFlags)}
    assert set(SPELLINGS.values()) <= firsts


def _names(field: str, annotation: object) -> tuple[str, ...]:
    """Return the spellings of one field's option."""
    option = get_args(annotation)[1]
    said = tuple(name for name in (option.default, *(option.param_decls or ())) if isinstance(name, str))
    return said or (f"--{field.replace('_', '-')}",)


def test_wrong_settings_are_told_together_and_nothing_is_started(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "kintsugi.yaml"
    file.write_text("guards: {budgt: 3}\n", encoding="utf-8")
    monkeypatch.setenv("KINTSUGI_DURATIONS", "fast")
    with pytest.raises(SystemExit) as left:
        main(["run", "--config", str(file), "--server-port", "99999", "--mode", "auto"])
    assert left.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert any(
        line.startswith(f"{file}:1:10: guards.budgt: ") and "did you mean guards.budget?" in line for line in lines
    )
    assert any(line.startswith("environment: KINTSUGI_DURATIONS: ") for line in lines)
    assert any(line.startswith("flag: --port: ") for line in lines)
    assert lines[-1] == "error: 3 problems, see above"


def test_rules_with_mistakes_are_a_finding(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "rule.yaml").write_text("kind: Rul\n---\nkind: Servce\n", encoding="utf-8")
    with pytest.raises(SystemExit) as left:
        main(["run", "--insecure-no-token", "--catalog", str(tmp_path), "--log-level", "error", "--context", "none"])
    assert left.value.code == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[0] for line in lines[:2]] == [f"{tmp_path}/rule.yaml:1:7", f"{tmp_path}/rule.yaml:3:7"]
    assert lines[-1] == "error: 2 problems, see above"


def test_defaults_are_the_settings_own() -> None:
    assert load(flags=replace(RunFlags(), insecure_no_token=True).settings(), environ={}, file=None) == replace(
        Settings(), server=replace(Settings().server, insecure_no_token=True)
    )
