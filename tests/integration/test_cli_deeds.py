"""What a person tells the daemon: shown first, asked, and sent exactly as it was shown."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kintsugi.cli import mutations
from kintsugi.model.api_types import AnswerRequest, GuardResult, IncidentDetail, PauseRequest, RunDetail
from kintsugi.model.manual import Override, RecoverRequest
from kintsugi.model.questions import Answer, Approvers, QuestionKind
from kintsugi.model.records import IncidentState, PauseScope, Reason, RunKind, StepRecord, StepState
from tests.harness.answers import said
from tests.integration.command_line import CommandLine
from tests.integration.operations_double import MENDED, PLAN, QUESTION, RUN, FakeOperations, at

COOLDOWN = GuardResult(reason=Reason.COOLDOWN, text="cooling down until 03:10:00", override="cooldown")
PAUSED = GuardResult(reason=Reason.PAUSED, text="paused (global) by ben: a release")


def test_approve_shows_the_plan_and_sends_the_digest_that_was_shown(
    kintsugi: CommandLine, operations: FakeOperations
) -> None:
    """Only the newest question counts."""
    operations.questions = (replace(QUESTION, plan="expired"), QUESTION)
    ended = kintsugi("approve", "inc-2", "--yes")
    assert ended.code == 0
    assert ended.err.splitlines() == [
        "  Run Workload recovery on api-service?",
        "  Restart: kubectl rollout restart deployment/api",
        "Plan 9f31c0ffee, asked at 03:03:01, open until 03:33:01 UTC",
    ]
    assert ended.out.startswith("Approved by ana. ")
    assert operations.asked == [("answer", "inc-2", AnswerRequest(plan="9f31c0ffee", answer=Answer.YES), "ana")]


def test_a_plan_that_has_changed_is_refused(kintsugi: CommandLine, operations: FakeOperations) -> None:
    operations.questions = (replace(QUESTION, plan="an-older-plan"),)
    ended = kintsugi("approve", "inc-2", "--yes")
    assert ended.code == 4
    assert "the plan has changed since it was shown" in ended.err


def test_on_a_terminal_yes_means_yes(kintsugi: CommandLine, operations: FakeOperations) -> None:
    ended = kintsugi.on_a_terminal("y", "approve", "inc-2", "-o", "json")
    assert ended.code == 0, ended
    assert "Approve this plan?" in ended.err
    assert json.loads(ended.out)["given"][0]["who"] == "ana"
    assert operations.asked == [("answer", "inc-2", AnswerRequest(plan="9f31c0ffee", answer=Answer.YES), "ana")]


@pytest.mark.parametrize(
    ("answer", "command", "says"),
    [
        ("n", "rollback inc-1", "nothing was rolled back"),
        ("", "recover workload-recovery --why w", "Start it? [y/N]"),
    ],
)
def test_on_a_terminal_enter_means_no(
    kintsugi: CommandLine, operations: FakeOperations, answer: str, command: str, says: str
) -> None:
    ended = kintsugi.on_a_terminal(answer, *command.split())
    assert (ended.code, ended.out, says in ended.err) == (4, "", True), ended
    shown = [("roll_back", "inc-1", "ana", "")] if command.startswith("rollback") else []
    assert [deed for deed in operations.asked if deed[0] != "recover"] == shown
    assert [wish.digest for wish in wishes(operations)] == [""] * command.startswith("recover")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (said(Answer.YES, "ben", at(310)), "the plan was approved by ben"),
        (said(Answer.NO, "ben", at(310), "a deploy"), "the plan was rejected by ben: a deploy"),
    ],
)
def test_a_question_that_has_its_answer_is_not_asked_again(
    kintsugi: CommandLine, operations: FakeOperations, answer: dict[str, Any], says: str
) -> None:
    operations.questions = (replace(QUESTION, **answer),)
    for command in (("approve", "inc-2", "--yes"), ("reject", "inc-2", "--why", "so do I")):
        ended = kintsugi(*command)
        assert ended.code == 4
        assert f"asks nothing: {says} at 03:03:10" in ended.err
    assert f"{says.removeprefix('the plan was ')} at 03:03:10" in kintsugi("incident", "inc-2", "--all").out


def test_an_approval_names_one_of_several_steps_that_ask(kintsugi: CommandLine, operations: FakeOperations) -> None:
    operations.questions = (QUESTION, replace(QUESTION, path="drop", text="Drop it?"))
    unnamed = kintsugi("approve", "inc-2", "--yes")
    assert unnamed.code == 2
    assert "'', 'drop'" in unnamed.err
    assert kintsugi("approve", "inc-2", "--yes", "--path", "no-such").code == 2
    assert kintsugi("approve", "inc-2", "--yes", "--path", "drop").code == 0
    assert operations.asked == [
        ("answer", "inc-2", AnswerRequest(path="drop", plan="9f31c0ffee", answer=Answer.YES), "ana")
    ]


def test_a_test_of_a_route_names_the_destinations_that_did_not_take_it(kintsugi: CommandLine) -> None:
    ended = kintsugi("notify", "test", "on-call")
    assert (ended.code, ended.out) == (1, "mail: sent\npager: it is closed\n"), ended
    unknown = kintsugi("notify", "test", "nobody")
    assert (unknown.code, "there is no notice route nobody" in unknown.err) == (1, True), unknown


def test_a_manual_step_is_answered_about_what_was_shown(kintsugi: CommandLine, operations: FakeOperations) -> None:
    manual = replace(QUESTION, kind=QuestionKind.MANUAL, text="Move the traffic.", command="./failover.sh")
    operations.questions = (replace(manual, approvers=Approvers(names=("dba",), people=2)),)
    for wrong, why in (("yes", "kintsugi approve inc-2"), ("gone", "is no answer"), ("failed", "needs a reason")):
        ended = kintsugi("answer", "inc-2", wrong)
        assert (ended.code, why in ended.err) == (2, True), ended
    approved = kintsugi("approve", "inc-2", "--yes")
    assert (approved.code, "kintsugi answer inc-2 done" in approved.err) == (2, True), approved
    ended = kintsugi("answer", "inc-2", "done")
    assert ended.code == 0
    assert "  Move the traffic.\n  $ ./failover.sh\n" in ended.err
    assert "Asked: 2 different people of dba" in ended.err
    assert operations.asked == [("answer", "inc-2", AnswerRequest(plan=QUESTION.plan, answer=Answer.DONE), "ana")]


def test_an_incident_is_taken(kintsugi: CommandLine, operations: FakeOperations) -> None:
    ended = kintsugi("take", "inc-2", "--why", "I look")
    assert (ended.code, operations.asked) == (0, [("take", "inc-2", "ana", "I look")])
    assert "Incident inc-2 is with ana: no run starts on web-service until it is given back" in ended.out


def test_reject_shows_the_plan_and_sends_the_digest_that_was_shown(
    kintsugi: CommandLine, operations: FakeOperations
) -> None:
    ended = kintsugi("reject", "inc-2", "--why", "a deploy")
    assert ended.code == 0
    assert ended.err.splitlines()[0] == "  Run Workload recovery on api-service?"
    assert ended.out.startswith("Rejected by ana: a deploy. ")
    assert operations.asked == [
        ("answer", "inc-2", AnswerRequest(plan="9f31c0ffee", answer=Answer.NO, why="a deploy"), "ana")
    ]


def test_abort_offers_the_rollback_of_what_was_changed(kintsugi: CommandLine, operations: FakeOperations) -> None:
    ended = kintsugi("abort", "inc-1", "--why", "a deploy")
    assert ended.code == 0
    assert ended.out == (
        "Incident inc-1 is aborted by ana: a deploy: web-service-recovery on web-service takes no further step."
        " To undo its changes: kintsugi rollback inc-1. To follow it: kintsugi incident inc-1 --follow\n"
    )
    assert operations.asked == [("abort", "inc-1", "ana", "a deploy")]
    assert "kintsugi rollback" not in kintsugi("abort", "inc-2", "--why", "a deploy").out


def test_rollback_shows_commands_and_losses_before_it_begins(kintsugi: CommandLine, operations: FakeOperations) -> None:
    ended = kintsugi("rollback", "inc-1", "--yes")
    assert ended.code == 0
    assert ended.err.splitlines() == [
        "web-service-recovery on web-service would be rolled back",
        "  problem: ImagePull (certain): deployment/web: container web cannot pull image shop:2.1",
        "  the rollback reverts: deployment/web from revision 4 (image shop:2.1) to 3 (image shop:2.0)",
        "  $ kubectl scale deployment/web --replicas=3 -n production",
        "  lost: 2 minutes of orders",
    ]
    assert operations.asked == [("roll_back", "inc-1", "ana", ""), ("roll_back", "inc-1", "ana", "shown")]
    assert json.loads(kintsugi("rollback", "inc-1", "--yes", "-o", "json").out)["begun"] is True


def test_a_rollback_that_has_become_another_since_it_was_shown_is_not_begun(
    kintsugi: CommandLine, operations: FakeOperations
) -> None:
    operations.changing = True
    ended = kintsugi("rollback", "inc-1", "--yes")
    assert ended.code == 4
    assert "the rollback has changed since it was shown" in ended.err
    assert "lost: 3 days of orders" in ended.err


@pytest.mark.parametrize(
    ("arguments", "wish"),
    [
        ("", PauseRequest(scope=PauseScope.GLOBAL, why="w")),
        ("--namespace production", PauseRequest(scope=PauseScope.NAMESPACE, name="production", why="w")),
        ("--namespace shop --yes", PauseRequest(scope=PauseScope.NAMESPACE, name="shop", why="w")),
        ("--rule shop-down", PauseRequest(scope=PauseScope.RULE, name="shop-down", why="w")),
        (
            "--freeze --for 1h30m",
            PauseRequest(scope=PauseScope.GLOBAL, why="w", freeze=True, lasts=timedelta(minutes=90)),
        ),
    ],
)
def test_a_pause_is_as_wide_and_as_long_as_was_said(
    kintsugi: CommandLine, operations: FakeOperations, arguments: str, wish: PauseRequest
) -> None:
    ended = kintsugi("pause", "--why", "w", *arguments.split())
    assert ended.code == 0
    assert operations.asked == [("pause", wish, "ana")]
    assert "kintsugi resume pau-2 --why TEXT" in ended.out


def test_resume_lifts_a_pause_with_a_reason(kintsugi: CommandLine, operations: FakeOperations) -> None:
    ended = kintsugi("resume", "pau-1", "--why", "released")
    assert (ended.code, ended.out) == (
        0,
        "Resumed: namespace production. Kintsugi re-evaluates the blocked signals.\n",
    )
    assert operations.asked == [("resume", "pau-1", "ana", "released")]
    assert json.loads(kintsugi("resume", "pau-1", "--why", "w", "-o", "json").out)["id"] == "pau-1"


def test_a_bare_token_needs_a_name(kintsugi: CommandLine, operations: FakeOperations, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.write_text("the-operators-token", encoding="utf-8")
    unnamed = kintsugi.with_file(bare, "pause", "--why", "w")
    assert (unnamed.code, "--as NAME" in unnamed.err) == (2, True)
    assert kintsugi.with_file(bare, "pause", "--why", "w", "--as", "carl").code == 0
    assert [deed[-1] for deed in operations.asked] == ["carl"]


def test_a_dead_letter_is_sent_in_after_a_yes(kintsugi: CommandLine, operations: FakeOperations) -> None:
    ended = kintsugi("resend", "dead-1", "--yes")
    assert ended.code == 0, ended.err
    assert ended.out.startswith("Resent: 1 alert accepted. ")
    assert operations.asked == [("resend", "dead-1", "ana")]


def wishes(operations: FakeOperations) -> list[RecoverRequest]:
    """Return what was wished for, in order."""
    return [deed[1] for deed in operations.asked if isinstance(deed[1], RecoverRequest)]


def test_the_start_that_was_shown_is_the_one_that_is_made(kintsugi: CommandLine, operations: FakeOperations) -> None:
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
    shown, started = wishes(operations)
    assert shown == replace(started, digest="")
    assert (started.digest, started.why, started.service) == ("shown", "old pods", "api-service")
    assert (started.parameters, started.overrides) == ({"replicas": "3", "note": "a=b"}, frozenset({Override.FAILURES}))


def test_a_dry_run_of_a_start_shows_the_plan_and_asks_nothing(
    kintsugi: CommandLine, operations: FakeOperations
) -> None:
    ended = kintsugi("recover", "workload-recovery", "--why", "a look", "--dry-run")
    assert (ended.code, ended.out) == (0, "Nothing was started.\n")
    assert "  Restart: kubectl rollout restart deployment/api" in ended.err.splitlines()
    assert [each.digest for each in wishes(operations)] == [""]


@pytest.mark.parametrize(
    ("against", "hint"),
    [((COOLDOWN,), " (to start it anyway: --override cooldown)"), ((COOLDOWN, PAUSED), ""), ((PAUSED,), "")],
)
def test_a_start_that_is_not_allowed_is_shown_and_refused(
    kintsugi: CommandLine, operations: FakeOperations, against: tuple[GuardResult, ...], hint: str
) -> None:
    """How it could be started is said only where nothing else stands against it."""
    operations.plan = replace(PLAN, allowed=False, text="it may not be started now", answers=against)
    ended = kintsugi("recover", "workload-recovery", "--why", "old pods", "--yes")
    assert ended.code == 4
    said = ended.err.splitlines()
    assert said[-1] == f"error: it may not be started now{hint}"
    assert [line for line in said if line.startswith("Refused")] == [
        f"Refused ({each.reason}): {each.text}" for each in against
    ]
    assert [wish.digest for wish in wishes(operations)] == [""]


def test_a_start_that_got_no_answer_is_asked_for_again_with_the_same_key(
    kintsugi: CommandLine, operations: FakeOperations, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D2: it starts nothing twice."""
    monkeypatch.setattr(mutations, "AGAIN", mutations.AGAIN / 100)
    operations.lost = 2
    ended = kintsugi("recover", "workload-recovery", "--why", "old pods", "--yes", "-o", "json")
    assert (ended.code, json.loads(ended.out)["incident"]) == (0, "inc-4"), ended
    keys = {wish.key for wish in wishes(operations)}
    assert (len(wishes(operations)), len(keys), "" in keys) == (4, 1, False)


BACKUP = {
    "url": "s3://backup-bucket/database/monday.dump",
    "file": "/backups/a.dump",
    "key": "database/monday.dump",
    "size": 2_000_000,
    "taken": {"@time": at(-18_000).isoformat()},
    "sha256": "0" * 64,
    "proven": True,
    "database": "app",
    "server_major": 16,
    "skipped": [{"url": "s3://backup-bucket/database/tuesday.dump", "reason": "it is cut off"}],
}
RESTORED = {
    "database": "kintsugi_drill_inc-3",
    "bytes": 2_000_000,
    "seconds": 3.0,
    "tables": [{"name": "public.orders", "rows": 1000}],
}
LEFT_OUT = "Every pod runs"
DRILL = ("restore", "drill", "database", "--every", "0.05")


def step(path: str, name: str, *, met: bool = True, error: str = "", **result: object) -> StepRecord:
    """Make the record of a step that is over."""
    record = StepRecord(run="run-3", path=path, name=name, state=StepState.DONE, started=at(1), finished=at(31))
    return replace(record, met=met, error=error, result=result)


def drill(state: IncidentState, reason: str, *, held: bool = True) -> IncidentDetail:
    """Make a drill that is over, or goes on."""
    closed = at(90) if state.is_final else None
    of = {"service": "database", "runbook": "database-drill", "kind": RunKind.DRILL, "state": state, "reason": reason}
    incident = replace(MENDED, id="inc-3", rule="drill", opened=at(0), closed=closed, **of)  # type: ignore[arg-type]
    run = replace(RUN, id="run-3", incident="inc-3", started=at(0), finished=closed, **of)  # type: ignore[arg-type]
    steps = (
        step("@left-out", "Checks that say nothing about a backup", checks=[LEFT_OUT]),
        step("newest", "Fetch", backup=BACKUP, notes=["the room is small"]),
        step("restore", "Restore", restored=RESTORED),
        step("verify/orders", "Orders are there", met=held, error="" if held else "not met: value > 0"),
        step("verify", "Ask it", met=held),
        step("@outcome", "How the drill ended", state=str(state), reason=reason),
    )
    return IncidentDetail(incident=incident, runs=(RunDetail(run=run, steps=steps),))


GOES_ON = drill(IncidentState.RUNNING, "asked for by ana")
HAS_PASSED = drill(IncidentState.PASSED, "monday.dump is good")


def test_a_drill_is_followed_to_its_report(kintsugi: CommandLine, operations: FakeOperations) -> None:
    operations.looks = [GOES_ON, GOES_ON, HAS_PASSED]
    ended = kintsugi(*DRILL)
    assert ended.code == 0, ended
    assert operations.asked == [("drill", "database", "ana")]
    report = ended.out.partition("Report\n")[2]
    for words in (
        "passed: monday.dump is good",
        "The drill took 31s (Fetch 30s, Restore 30s, Ask it 30s). A real restore takes at least as long.",
        "s3://backup-bucket/database/monday.dump",
        "5h00m before the drill; 2,000,000 bytes",
        "its recorded checksum matches",
        "skipped s3://backup-bucket/database/tuesday.dump: it is cut off",
        "public.orders  1,000 rows",
        "passed  Orders are there (30s)",
        f"not run  {LEFT_OUT}",
        "the room is small",
    ):
        assert words in report, report


def test_a_drill_that_does_not_pass_is_a_finding(kintsugi: CommandLine, operations: FakeOperations) -> None:
    failed = "the drill did not pass: verify/orders: not met: value > 0"
    operations.looks = [drill(IncidentState.FAILED, failed, held=False)]
    ended = kintsugi(*DRILL)
    assert ended.code == 1
    assert "failed  Orders are there (30s): not met: value > 0" in ended.out


def test_programs_get_the_report_of_a_drill_as_json(kintsugi: CommandLine, operations: FakeOperations) -> None:
    operations.looks = [GOES_ON, HAS_PASSED]
    ended = kintsugi(*DRILL, "-o", "json")
    report = json.loads(ended.out)
    assert (ended.code, report["state"], report["seconds"]) == (0, "passed", 31.0)
    assert report["restored"]["tables"] == [{"name": "public.orders", "rows": 1000}]
    assert report["backup"]["skipped"][0]["reason"] == "it is cut off"
    assert report["left_out"] == [LEFT_OUT]


def test_a_drill_that_is_not_waited_for_is_only_begun(kintsugi: CommandLine) -> None:
    ended = kintsugi(*DRILL, "--no-wait")
    assert (ended.code, ended.out) == (
        0,
        "Started: database-drill of database. To follow it: kintsugi incident inc-3 --follow\n",
    )
