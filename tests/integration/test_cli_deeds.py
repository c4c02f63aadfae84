"""What a person tells the daemon: shown first, asked, and sent exactly as it was shown."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from kintsugi.model.records import PauseScope
from kintsugi.server.operations import PauseRequest, RejectRequest
from tests.integration.cli_daemon import QUESTION, CommandLine, Ended, Night, at, daemon


@pytest.fixture
def night() -> Night:
    return Night()


@pytest.fixture
def kintsugi(tmp_path: Path, night: Night, capsys: pytest.CaptureFixture[str]) -> Iterator[CommandLine]:
    with daemon(tmp_path, night) as served:
        yield CommandLine(served, capsys)


def on_a_terminal(kintsugi: CommandLine, answer: str, *arguments: str) -> Ended:
    """Run a command whose stdin is a terminal, and type an answer."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, f"{answer}\n".encode())
        server = ("--server", kintsugi.daemon.url, "--token-file", str(kintsugi.daemon.token))
        done = subprocess.run(
            [sys.executable, "-m", "kintsugi.cli", *arguments, *server],
            stdin=theirs,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "PYTHONPATH": "daemon"},
        )
    finally:
        os.close(ours)
        os.close(theirs)
    return Ended(done.returncode, done.stdout, done.stderr)


def test_approve_shows_the_plan_and_sends_the_digest_that_was_shown(kintsugi: CommandLine, night: Night) -> None:
    ended = kintsugi("approve", "inc-2", "--yes")
    assert ended.code == 0
    assert ended.err.splitlines() == [
        "  Run Workload recovery on api-service?",
        "  Restart: kubectl rollout restart deployment/api",
        "Plan 9f31c0ffee, asked at 03:03:01, open until 03:33:01 UTC",
    ]
    assert ended.out.startswith("Approved by ana. ")
    assert night.asked == [("approve", "inc-2", "", "9f31c0ffee", "ana")]


def test_a_plan_that_has_changed_is_refused(kintsugi: CommandLine, night: Night) -> None:
    night.questions = (replace(QUESTION, plan="an-older-plan"),)
    ended = kintsugi("approve", "inc-2", "--yes")
    assert ended.code == 4
    assert "the plan has changed since it was shown" in ended.err


def test_on_a_terminal_yes_means_yes(kintsugi: CommandLine, night: Night) -> None:
    ended = on_a_terminal(kintsugi, "y", "approve", "inc-2", "-o", "json")
    assert ended.code == 0, ended
    assert "Approve this plan?" in ended.err
    assert json.loads(ended.out)["who"] == "ana"
    assert night.asked == [("approve", "inc-2", "", "9f31c0ffee", "ana")]


def test_on_a_terminal_enter_means_no(kintsugi: CommandLine, night: Night) -> None:
    ended = on_a_terminal(kintsugi, "", "approve", "inc-2")
    assert (ended.code, ended.out) == (4, "")
    assert "nothing was approved" in ended.err
    assert night.asked == []


@pytest.mark.parametrize("command", ["approve", "rollback"])
def test_no_deed_is_done_where_no_person_can_be_asked(
    kintsugi: CommandLine, night: Night, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    with Path(os.devnull).open(encoding="utf-8") as nobody:
        monkeypatch.setattr(sys, "stdin", nobody)
        ended = kintsugi(command, "inc-2" if command == "approve" else "inc-1")
    assert ended.code == 2
    assert "give --yes" in ended.err
    assert [deed for deed in night.asked if deed[-1] is True or deed[0] == "approve"] == []


def test_an_incident_that_asks_nothing_cannot_be_approved(kintsugi: CommandLine, night: Night) -> None:
    night.questions = (replace(QUESTION, who="ben", answered=at(310)),)
    ended = kintsugi("approve", "inc-2", "--yes")
    assert ended.code == 4
    assert "asks for no approval: ben approved the plan at 03:03:10" in ended.err
    assert kintsugi("approve", "inc-1", "--yes").code == 4


def test_only_the_newest_question_of_a_step_counts(kintsugi: CommandLine, night: Night) -> None:
    night.questions = (replace(QUESTION, plan="expired"), QUESTION)
    assert kintsugi("approve", "inc-2", "--yes").code == 0
    assert night.asked == [("approve", "inc-2", "", "9f31c0ffee", "ana")]


def test_an_approval_names_one_of_several_steps_that_ask(kintsugi: CommandLine, night: Night) -> None:
    night.questions = (QUESTION, replace(QUESTION, path="drop", question="Drop it?"))
    unnamed = kintsugi("approve", "inc-2", "--yes")
    assert unnamed.code == 2
    assert "'', 'drop'" in unnamed.err
    assert kintsugi("approve", "inc-2", "--yes", "--path", "no-such").code == 2
    assert kintsugi("approve", "inc-2", "--yes", "--path", "drop").code == 0
    assert night.asked == [("approve", "inc-2", "drop", "9f31c0ffee", "ana")]


def test_reject_shows_the_plan_and_sends_the_digest_that_was_shown(kintsugi: CommandLine, night: Night) -> None:
    ended = kintsugi("reject", "inc-2", "--why", "a deploy")
    assert ended.code == 0
    assert ended.err.splitlines()[0] == "  Run Workload recovery on api-service?"
    assert ended.out.startswith("Rejected by ana. ")
    assert night.asked == [("reject", "inc-2", RejectRequest(plan="9f31c0ffee", why="a deploy"), "ana")]
    assert kintsugi("reject", "inc-2").code == 2, "without a reason"


def test_a_question_that_was_rejected_has_its_answer(kintsugi: CommandLine, night: Night) -> None:
    night.questions = (replace(QUESTION, who="ben", rejected=at(310), why="a deploy"),)
    for command in (("approve", "inc-2", "--yes"), ("reject", "inc-2", "--why", "so do I")):
        ended = kintsugi(*command)
        assert ended.code == 4
        assert "asks for no approval: ben rejected the plan at 03:03:10" in ended.err
    assert "no, by ben at 03:03:10: a deploy" in kintsugi("incident", "inc-2", "--all").out


def test_abort_offers_the_rollback_of_what_was_changed(kintsugi: CommandLine, night: Night) -> None:
    ended = kintsugi("abort", "inc-1", "--why", "a deploy")
    assert ended.code == 0
    assert ended.out == (
        "Incident inc-1 is aborted by ana: a deploy: web-service-recovery on web-service takes no further step."
        " To undo its changes: kintsugi rollback inc-1. To follow it: kintsugi incident inc-1 --follow\n"
    )
    assert night.asked == [("abort", "inc-1", "ana", "a deploy")]
    assert "kintsugi rollback" not in kintsugi("abort", "inc-2", "--why", "a deploy").out
    assert kintsugi("abort", "inc-1").code == 2, "without a reason"


def test_rollback_shows_commands_and_losses_before_it_begins(kintsugi: CommandLine, night: Night) -> None:
    ended = kintsugi("rollback", "inc-1", "--yes")
    assert ended.code == 0
    assert ended.err.splitlines() == [
        "web-service-recovery on web-service would be rolled back",
        "  problem: ImagePull (certain): deployment/web: container web cannot pull image shop:2.1",
        "  the rollback reverts: deployment/web from revision 4 (image shop:2.1) to 3 (image shop:2.0)",
        "  $ kubectl scale deployment/web --replicas=3 -n production",
        "  lost: 2 minutes of orders",
    ]
    assert night.asked == [("roll_back", "inc-1", "ana", ""), ("roll_back", "inc-1", "ana", "shown")]
    assert json.loads(kintsugi("rollback", "inc-1", "--yes", "-o", "json").out)["begun"] is True


def test_a_rollback_that_is_declined_is_not_begun(kintsugi: CommandLine, night: Night) -> None:
    ended = on_a_terminal(kintsugi, "n", "rollback", "inc-1")
    assert ended.code == 4
    assert "nothing was rolled back" in ended.err
    assert night.asked == [("roll_back", "inc-1", "ana", "")]


def test_a_rollback_that_has_become_another_since_it_was_shown_is_not_begun(
    kintsugi: CommandLine, night: Night
) -> None:
    night.changing = True
    ended = kintsugi("rollback", "inc-1", "--yes")
    assert ended.code == 4
    assert "the rollback has changed since it was shown" in ended.err
    assert "lost: 3 days of orders" in ended.err


def test_a_rollback_of_an_incident_without_a_run_is_refused(kintsugi: CommandLine) -> None:
    ended = kintsugi("rollback", "inc-2", "--yes")
    assert ended.code == 4
    assert "error: incident inc-2 never had a run, so there is nothing to undo" in ended.err


@pytest.mark.parametrize(
    ("arguments", "wish"),
    [
        ((), PauseRequest(scope=PauseScope.GLOBAL, why="w")),
        (("--namespace", "production"), PauseRequest(scope=PauseScope.NAMESPACE, name="production", why="w")),
        (("--namespace", "shop", "--yes"), PauseRequest(scope=PauseScope.NAMESPACE, name="shop", why="w")),
        (("--rule", "shop-down"), PauseRequest(scope=PauseScope.RULE, name="shop-down", why="w")),
        (
            ("--freeze", "--for", "1h30m"),
            PauseRequest(scope=PauseScope.GLOBAL, why="w", freeze=True, lasts=timedelta(minutes=90)),
        ),
    ],
)
def test_a_pause_is_as_wide_and_as_long_as_was_said(
    kintsugi: CommandLine, night: Night, arguments: tuple[str, ...], wish: PauseRequest
) -> None:
    ended = kintsugi("pause", "--why", "w", *arguments)
    assert ended.code == 0
    assert night.asked == [("pause", wish, "ana")]
    assert "kintsugi resume pau-2 --why TEXT" in ended.out


def test_a_pause_of_a_namespace_without_a_service_is_asked_about(kintsugi: CommandLine, night: Night) -> None:
    ended = kintsugi("pause", "--why", "w", "--namespace", "prodution")
    assert (ended.code, night.asked) == (2, [])
    assert "give --yes to continue" in ended.err


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--why", "w", "--namespace", "a", "--rule", "b"),
        ("--why", "w", "--for", "soon"),
        ("--why", "w", "--for", "0s"),
        ("--why", " "),
    ],
)
def test_a_pause_that_makes_no_sense_is_not_begun(
    kintsugi: CommandLine, night: Night, arguments: tuple[str, ...]
) -> None:
    assert kintsugi("pause", *arguments).code == 2
    assert night.asked == []


def test_resume_lifts_a_pause_with_a_reason(kintsugi: CommandLine, night: Night) -> None:
    ended = kintsugi("resume", "pau-1", "--why", "released")
    assert (ended.code, ended.out) == (
        0,
        "Resumed: namespace production. Kintsugi re-evaluates the blocked signals.\n",
    )
    assert night.asked == [("resume", "pau-1", "ana", "released")]
    assert json.loads(kintsugi("resume", "pau-1", "--why", "w", "-o", "json").out)["id"] == "pau-1"


def test_a_bare_token_needs_a_name(kintsugi: CommandLine, night: Night, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.write_text("the-operators-token", encoding="utf-8")
    server = ("--server", kintsugi.daemon.url, "--token-file", str(bare))
    unnamed = kintsugi.bare("pause", "--why", "w", *server)
    assert unnamed.code == 2
    assert "--as NAME" in unnamed.err
    assert kintsugi.bare("pause", "--why", "w", "--as", "carl", *server).code == 0
    assert [deed[-1] for deed in night.asked] == ["carl"]


def test_a_token_speaks_for_its_owner_only(kintsugi: CommandLine, night: Night) -> None:
    ended = kintsugi("pause", "--why", "w", "--as", "ben")
    assert ended.code == 2
    assert "the token belongs to ana" in ended.err
    assert night.asked == []


def test_a_dead_letter_is_sent_in_after_a_yes(kintsugi: CommandLine, night: Night) -> None:
    ended = on_a_terminal(kintsugi, "y", "resend", "dead-1")
    assert ended.code == 0, ended.err
    assert ended.out.startswith("Resent: 1 alert accepted. ")
    assert night.asked == [("resend", "dead-1", "ana")]


def test_a_dead_letter_is_not_sent_in_after_a_no(kintsugi: CommandLine, night: Night) -> None:
    assert on_a_terminal(kintsugi, "n", "resend", "dead-1").code == 4
    assert kintsugi("resend", "dead-1").code == 2, "nobody can be asked"
    assert night.asked == []


@pytest.mark.parametrize(("letter", "code"), [("dead-2", 4), ("dead-9", 1)])
def test_a_dead_letter_that_cannot_be_sent_in_again_says_so(kintsugi: CommandLine, letter: str, code: int) -> None:
    ended = kintsugi("resend", letter, "--yes")
    assert (ended.code, ended.out) == (code, "")
    assert "dead letter" in ended.err
