"""The text and the question for a person before a change. All of it goes to stderr."""

import sys
from collections.abc import Iterable

import typer

from kintsugi.cli.stderr import print_note
from kintsugi.decisions.reconciliation import open_questions
from kintsugi.errors import Refused, UsageError
from kintsugi.model.records import Approval
from kintsugi.server.operations import IncidentDetail, RollbackPreview
from kubediagnosis.headline import headline, latest


def agreed(question: str, *, yes: bool) -> bool:
    """Ask, unless `yes` is set. Raises UsageError where no one can answer."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError("this is not a terminal, so Kintsugi cannot ask: give --yes to continue")
    typer.echo(f"{question} [y/N] ", err=True, nl=False)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def waiting(detail: IncidentDetail, path: str | None) -> Approval:
    """
    Choose the question that can be answered: the newest of its step, if it has no answer yet.

    Raises Refused when nothing is asked, UsageError when several steps ask and `path` names none of them.
    """
    unanswered = {each.path: each for each in open_questions(detail.approvals)}
    incident = detail.incident
    if incident.state.is_final or not unanswered:
        raise Refused(
            f"incident {incident.id} is {incident.state} and asks for no approval{_answers(detail.approvals)}"
        )
    names = ", ".join(repr(each) for each in unanswered)
    if path is not None and path not in unanswered:
        raise UsageError(f"--path: {path!r} does not ask for approval; these steps do: {names}")
    if path is None and len(unanswered) > 1:
        raise UsageError(f"several steps ask for approval: choose one with --path: {names}")
    return unanswered[path] if path is not None else next(iter(unanswered.values()))


def _answers(approvals: Iterable[Approval]) -> str:
    """Return who has answered the newest question of each step."""
    newest = {each.path: each for each in approvals}
    said = [
        f"{each.who} {'approved' if when is each.answered else 'rejected'} {each.path or 'the plan'} at {when:%H:%M:%S}"
        for each in newest.values()
        if (when := each.rejected or each.answered) is not None
    ]
    return f": {', '.join(said)}" if said else ""


def show_question(approval: Approval) -> None:
    """Show the plan as it was put to people."""
    for line in approval.question.splitlines():
        print_note(f"  {line}")
    about = f" of {approval.path}" if approval.path else ""
    print_note(
        f"Plan {approval.plan}{about}, asked at {approval.asked:%H:%M:%S}, open until {approval.expires:%H:%M:%S} UTC"
    )


def show_latest_diagnosis(detail: IncidentDetail) -> None:
    """Show what was found wrong, if that is known."""
    if (found := latest([each.diagnosis for each in detail.diagnoses])) is not None:
        print_note(f"Problem: {headline(found)}")


def show_rollback(answer: RollbackPreview) -> None:
    """Show what is wrong, what a rollback would do, as commands, what it would change, and what would be lost."""
    print_note(answer.text)
    if answer.wrong:
        print_note(f"  problem: {answer.wrong}")
    if answer.changes:
        print_note(f"  the rollback reverts: {answer.changes}")
    for command in answer.commands:
        print_note(f"  $ {command}" if not command.startswith("#") else f"  {command}")
    for loss in answer.losses:
        print_note(f"  lost: {loss}")
