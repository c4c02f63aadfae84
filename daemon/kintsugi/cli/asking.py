"""What is shown to a person before a deed, and the question whether to do it. All of it goes to stderr."""

import sys
from collections.abc import Iterable

import typer

from kintsugi.cli.complaint import note
from kintsugi.errors import Refused, UsageError
from kintsugi.model.records import Approval
from kintsugi.server.operations import IncidentDetail, RollbackAnswer


def agreed(question: str, *, yes: bool) -> bool:
    """Ask, unless `yes` was said beforehand. Raises UsageError where nobody can answer."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError("this is not a terminal, so nobody can be asked: say --yes to go on")
    typer.echo(f"{question} [y/N] ", err=True, nl=False)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def waiting(detail: IncidentDetail, path: str | None) -> Approval:
    """
    Choose the question that can be answered: the newest of its step, if it has no answer yet.

    Raises Refused when nothing is asked, UsageError when several steps ask and `path` names none of them.
    """
    newest = {each.path: each for each in detail.approvals}
    unanswered = {each.path: each for each in newest.values() if each.answered is None}
    incident = detail.incident
    if incident.state.is_final or not unanswered:
        raise Refused(f"incident {incident.id} is {incident.state} and asks nothing{_answers(newest.values())}")
    names = ", ".join(repr(each) for each in unanswered)
    if path is not None and path not in unanswered:
        raise UsageError(f"--path: {path!r} asks nothing; what asks: {names}")
    if path is None and len(unanswered) > 1:
        raise UsageError(f"several steps ask: say which with --path: {names}")
    return unanswered[path] if path is not None else next(iter(unanswered.values()))


def _answers(approvals: Iterable[Approval]) -> str:
    """Say who has answered before."""
    said = [f"{each.who} approved {each.path or 'the plan'}" for each in approvals if each.answered is not None]
    return f": {', '.join(said)}" if said else ""


def show_question(approval: Approval) -> None:
    """Show the plan as it was put to people."""
    for line in approval.question.splitlines():
        note(f"  {line}")
    about = f" of {approval.path}" if approval.path else ""
    note(f"Plan {approval.plan}{about}, asked at {approval.asked:%H:%M:%S}, open until {approval.expires:%H:%M:%S} UTC")


def show_rollback(answer: RollbackAnswer) -> None:
    """Show what a rollback would do, as commands, and what would be lost."""
    note(answer.text)
    for command in answer.commands:
        note(f"  $ {command}" if not command.startswith("#") else f"  {command}")
    for loss in answer.losses:
        note(f"  lost: {loss}")
