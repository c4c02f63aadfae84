"""`kintsugi recover`: the plan is shown before it is asked about, and what is sent is what was shown."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kintsugi.cli import mutations
from kintsugi.model.records import Reason
from kintsugi.server.operations import GuardResult, Override, RecoverRequest
from tests.integration import cli_daemon
from tests.integration.cli_daemon import PLAN, CommandLine, Night, daemon
from tests.integration.test_cli_deeds import on_a_terminal

COOLDOWN = GuardResult(reason=Reason.COOLDOWN, text="cooling down until 03:10:00", override="cooldown")
PAUSED = GuardResult(reason=Reason.PAUSED, text="paused (global) by ben: a release")


@pytest.fixture
def night() -> Night:
    return Night()


@pytest.fixture
def kintsugi(tmp_path: Path, night: Night, capsys: pytest.CaptureFixture[str]) -> Iterator[CommandLine]:
    with daemon(tmp_path, night) as served:
        yield CommandLine(served, capsys)


def wishes(night: Night) -> list[RecoverRequest]:
    """Return what was wished for, in order."""
    return [deed[1] for deed in night.asked if isinstance(deed[1], RecoverRequest)]


def test_the_start_that_was_shown_is_the_one_that_is_made(kintsugi: CommandLine, night: Night) -> None:
    given = ("--service", "api-service", "--set", "replicas=3", "--set", "note=a=b", "--override", "failures")
    ended = kintsugi("recover", "workload-recovery", "--why", "old pods", "--yes", *given)
    assert ended.code == 0, ended
    assert ended.err.splitlines() == [
        "workload-recovery on api-service (namespace production)",
        "  replicas = 3",
        "  Restart: kubectl rollout restart deployment/api",
        "Plan shown; its watchdog would check at 03:28:00 UTC",
    ]
    assert ended.out.endswith("To follow it: kintsugi incident inc-4 --follow\n")
    shown, started = wishes(night)
    assert shown == replace(started, digest="")
    assert (started.digest, started.why, started.service) == ("shown", "old pods", "api-service")
    assert (started.parameters, started.overrides) == ({"replicas": "3", "note": "a=b"}, frozenset({Override.FAILURES}))


def test_a_no_starts_nothing(kintsugi: CommandLine, night: Night) -> None:
    ended = on_a_terminal(kintsugi, "", "recover", "workload-recovery", "--why", "old pods")
    assert (ended.code, ended.out) == (4, "")
    assert "Start it? [y/N]" in ended.err
    assert [wish.digest for wish in wishes(night)] == [""]


def test_no_run_is_started_where_no_person_can_be_asked(kintsugi: CommandLine, night: Night) -> None:
    ended = kintsugi("recover", "workload-recovery", "--why", "old pods")
    assert (ended.code, "give --yes" in ended.err) == (2, True)
    assert [wish.digest for wish in wishes(night)] == [""]


@pytest.mark.parametrize(
    ("against", "hint"),
    [((COOLDOWN,), "(to start it anyway: --override cooldown)"), ((COOLDOWN, PAUSED), ""), ((PAUSED,), "")],
)
def test_a_start_that_is_not_allowed_is_shown_and_refused(
    kintsugi: CommandLine,
    night: Night,
    monkeypatch: pytest.MonkeyPatch,
    against: tuple[GuardResult, ...],
    hint: str,
) -> None:
    """How it could be started is said only where nothing else stands against it."""
    night.against = against
    monkeypatch.setattr(cli_daemon, "PLAN", replace(PLAN, allowed=False, text="it may not be started now"))
    ended = kintsugi("recover", "workload-recovery", "--why", "old pods", "--yes")
    assert ended.code == 4
    said = ended.err.splitlines()
    assert said[-1] == f"error: it may not be started now {hint}".rstrip()
    assert [line for line in said if line.startswith("Refused")] == [
        f"Refused ({each.reason}): {each.text}" for each in against
    ]
    assert [wish.digest for wish in wishes(night)] == [""]


def test_a_start_that_got_no_answer_is_asked_for_again_with_the_same_key(
    kintsugi: CommandLine, night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D2: it starts nothing twice."""
    monkeypatch.setattr(mutations, "AGAIN", mutations.AGAIN / 100)
    night.lost = 2
    ended = kintsugi("recover", "workload-recovery", "--why", "old pods", "--yes", "-o", "json")
    assert (ended.code, json.loads(ended.out)["incident"]) == (0, "inc-4"), ended
    keys = {wish.key for wish in wishes(night)}
    assert (len(wishes(night)), len(keys), "" in keys) == (4, 1, False)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((), "Missing option '--why'"),
        (("--why", " "), "--why: empty"),
        (("--why", "w", "--set", "replicas"), "--set: 'replicas': write NAME=VALUE"),
        (("--why", "w", "--set", "=3"), "--set: '=3': write NAME=VALUE"),
        (("--why", "w", "--set", "a=1", "--set", "a=2"), "--set: a is set twice"),
        (("--why", "w", "--override", "budget"), "--override: 'budget' cannot be overruled; choose from: cooldown,"),
    ],
)
def test_a_wish_that_makes_no_sense_is_not_sent(
    kintsugi: CommandLine, night: Night, arguments: tuple[str, ...], error: str
) -> None:
    ended = kintsugi("recover", "workload-recovery", "--yes", *arguments)
    assert (ended.code, error in ended.err) == (2, True), ended
    assert night.asked == []
