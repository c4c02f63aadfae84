"""
Decides which command a person runs next about an incident: the page of the incident and its notices end with it.

Pure: the state of the incident and whether it has changes that can be undone are arguments.
"""

from kintsugi.model.history import UNRESOLVED_OUTCOMES
from kintsugi.model.questions import QuestionKind
from kintsugi.model.records import IncidentState
from kintsugi.model.services import STACK


def resume_hint(incident: str) -> str:
    """Return how a person ends the rest of a service after a hand-over."""
    return f"to end this rest: kintsugi resume {incident} --why TEXT"


def stop_command(service: str) -> str:
    """Return the command with which a person stops Kintsugi on a service, or on all of them."""
    return f"kintsugi pause --freeze{'' if service == STACK else f' --service {service}'} --why TEXT"


def answer_command(asked: QuestionKind, incident: str) -> str:
    """Return the command with which a person answers, in the affirmative, what an incident asks."""
    return f"kintsugi answer {incident} done" if asked is QuestionKind.MANUAL else f"kintsugi approve {incident}"


def rollback_command(incident: str) -> str:
    """Return the command that shows the undo commands of an incident, asks, and runs them."""
    return f"kintsugi rollback {incident}"


def show_command(incident: str) -> str:
    """Return the command that shows all of an incident."""
    return f"kintsugi incident {incident} --all"


def next_command(
    state: IncidentState,
    incident: str,
    service: str,
    *,
    changed: bool,
    asked: QuestionKind = QuestionKind.APPROVAL,
    taken: bool = False,
) -> str:
    """
    Return the command that a person in this state needs first: the answer, the undo, the stop, or the whole page.

    `asked` is what a person is asked where the incident waits for one, `taken` whether a person has it.
    """
    match state:
        case _ if taken:
            return f"kintsugi resume {incident} --why TEXT (gives it back to Kintsugi)"
        case IncidentState.AWAITING_APPROVAL if asked is QuestionKind.MANUAL:
            return f"{answer_command(asked, incident)} (or: does-not-apply --why TEXT, failed --why TEXT)"
        case IncidentState.AWAITING_APPROVAL:
            return f"{answer_command(asked, incident)} (or: kintsugi reject {incident} --why TEXT)"
        case IncidentState.RUNNING if service != STACK:  # the runs that one about all services has started would go on
            return f"kintsugi abort {incident} --why TEXT (ends the run)"
        case IncidentState.RUNNING | IncidentState.ROLLING_BACK:
            return f"{stop_command(service)} (stops the run)"
        case _ if changed and state in UNRESOLVED_OUTCOMES:
            return f"{rollback_command(incident)} (shows the undo commands, asks, and runs them)"
        case IncidentState.VERIFYING:
            return f"kintsugi incident {incident} --follow"
        case _:
            return show_command(incident)
