"""What a change did, in a line for a person."""

from collections.abc import Mapping

from kintsugi.actions.prepared import Prepared
from kintsugi.model.command import Command, Cordon, Create, Delete, Mark, Patch, Rollout, Scale, Verb

_ROLLOUTS: Mapping[Verb, str] = {
    Verb.ROLLOUT_RESTART: "restarted",
    Verb.ROLLOUT_PAUSE: "paused",
    Verb.ROLLOUT_RESUME: "resumed",
}


def summary_of(prepared: Prepared) -> str:
    """Say what a change did, or would have done had it not been so already."""
    command = prepared.command
    facts = prepared.facts
    match command:
        case Delete():
            return f"{_names(command)} deleted ({facts.get('status', 'it had been read before')})"
        case Scale() if prepared.already:
            return f"{_names(command)} has {command.replicas} replicas"
        case Scale():
            return f"{_names(command)} scaled from {facts.get('replicas')} to {command.replicas}"
        case Rollout(verb=Verb.ROLLOUT_UNDO):
            return f"{command.object} rolled back from revision {facts.get('revision')} to {facts.get('to')}"
        case Rollout():
            return f"{command.object} {_ROLLOUTS[command.verb]}"
        case Cordon():
            return f"{_names(command)} {'cordoned' if command.on else 'uncordoned'}"
        case Create():
            return f"{command.object} created"
        case Patch():
            return f"{command.object} patched"
        case Mark():
            return f"{_names(command)} {'labeled' if command.verb is Verb.LABEL else 'annotated'}"
        case _:
            return _kind(command)


def _names(command: Cordon | Delete | Mark | Scale) -> str:
    return ", ".join(map(str, command.objects))


def _kind(command: Command) -> str:
    return type(command).__name__
