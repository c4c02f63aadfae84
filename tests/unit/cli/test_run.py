"""The flags of kintsugi run, the codes with which a command exits, and how a signal stops the daemon."""

import asyncio
import faulthandler
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import get_args

import pytest

from kintsugi.catalog import CatalogErrors, Problem
from kintsugi.cli import main
from kintsugi.cli.daemon import SPELLINGS, RunFlags
from kintsugi.cli.errors import ExitCode, Unreachable, exit_for, print_error
from kintsugi.cli.shutdown import run_until_signal
from kintsugi.errors import (
    Forbidden,
    KintsugiError,
    LedgerHeld,
    LedgerUnavailable,
    NotRecorded,
    Refused,
    ServerUnavailable,
    StaleEpoch,
    UsageError,
    WrongState,
)
from kintsugi.settings import Settings, SettingsError, known_settings, load
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


PROBLEMS = (
    Problem(file="a.yaml", line=2, column=1, path="spec", message="first", suggestion="did you mean 'b'?"),
    Problem(file="a.yaml", line=9, column=1, path="", message="second"),
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CatalogErrors(PROBLEMS), 1),
        (NotRecorded("x"), 1),
        (StaleEpoch("x"), 1),
        (KintsugiError("x"), 1),
        (UsageError("x"), 2),
        (SettingsError(("x",)), 2),
        (Unreachable("x"), 3),
        (LedgerUnavailable("x"), 3),
        (ServerUnavailable("x"), 3),
        (Forbidden("x"), 3),
        (LedgerHeld("x"), 4),
        (Refused("x"), 4),
        (WrongState("x"), 4),
    ],
)
def test_each_kind_of_error_has_its_code(error: KintsugiError, code: int) -> None:
    assert exit_for(error) == ExitCode(code)


def test_every_problem_is_told_on_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(CatalogErrors(PROBLEMS))
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.splitlines() == [
        "a.yaml:2:1: spec: first; did you mean 'b'?",
        "a.yaml:9:1: second",
        "error: 2 problems, see above",
    ]


def test_an_error_is_one_line_whatever_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(Refused("no\nand \x1b[2Jmore"))
    assert capsys.readouterr().err == "error: no and \\x1b[2Jmore\n"


@pytest.fixture(autouse=True)
def spared() -> Iterator[None]:
    """Keep the process of the tests from ending as the daemon's would."""
    yield
    faulthandler.cancel_dump_traceback_later()


class Work:
    """Work that goes on for ever and takes `cleaning` seconds to stop."""

    def __init__(self, cleaning: float = 0) -> None:
        self.began = asyncio.Event()
        self.cleaning_up = asyncio.Event()
        self.cleaned = False
        self._cleaning = cleaning

    async def __call__(self) -> None:
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cleaning_up.set()
            await asyncio.sleep(self._cleaning)
            self.cleaned = True


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT])
async def test_a_first_signal_lets_the_work_clean_up(which: signal.Signals, capsys: pytest.CaptureFixture[str]) -> None:
    work = Work(cleaning=0.05)
    told = asyncio.create_task(run_until_signal(work()))
    await work.began.wait()
    os.kill(os.getpid(), which)
    assert await asyncio.wait_for(told, 120) is ExitCode.DONE
    assert work.cleaned
    assert which.name in capsys.readouterr().err


async def test_a_second_signal_ends_the_cleaning_up() -> None:
    work = Work(cleaning=3600)
    told = asyncio.create_task(run_until_signal(work()))
    await work.began.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(work.cleaning_up.wait(), 10)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(told, 120) is ExitCode.FINDINGS
    assert not work.cleaned


async def test_signals_belong_to_python_again_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert await run_until_signal(asyncio.sleep(0)) is ExitCode.DONE
    assert signal.getsignal(signal.SIGTERM) == before


async def test_an_error_of_the_work_is_passed_on() -> None:
    async def held() -> None:
        raise LedgerHeld("another daemon is alive on this ledger")

    with pytest.raises(LedgerHeld):
        await run_until_signal(held())


async def test_a_cancellation_that_is_no_signal_is_passed_on() -> None:
    work = Work()
    told = asyncio.create_task(run_until_signal(work()))
    await work.began.wait()
    told.cancel()
    with pytest.raises(asyncio.CancelledError):
        await told


HUNG = """
import asyncio, os, signal, threading, time
from datetime import timedelta
from kintsugi.cli import shutdown

shutdown.GRACE = timedelta(seconds=0.2)

async def work():
    os.kill(os.getpid(), signal.SIGTERM)
    try:
        await asyncio.Event().wait()
    finally:
        {hangs}

asyncio.run(shutdown.run_until_signal(work()))
"""


@pytest.mark.parametrize(
    "hangs",
    [
        "await asyncio.Event().wait()",
        "time.sleep(3600)",
        "asyncio.get_running_loop().run_in_executor(None, time.sleep, 3600)",
        "threading.Thread(target=time.sleep, args=(3600,)).start()",
    ],
    ids=["cleaning up", "the loop", "a thread of the loop", "a thread"],
)
def test_a_process_that_hangs_while_it_stops_ends_all_the_same_and_says_where(hangs: str) -> None:
    """Kubernetes would kill it without a word, and keep the pod's place for the rest of its grace."""
    command = [sys.executable, "-c", HUNG.format(hangs=hangs)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "Timeout" in done.stderr
    assert "most recent call first" in done.stderr
