"""Runs probes by their verbs, within a time limit."""

import asyncio
from datetime import timedelta

from kintsugi.actions.probe_context import ProbeContext
from kintsugi.actions.probe_verb import ProbeVerb
from kintsugi.actions.result import Result
from kintsugi.actions.verb_clients import VerbClients
from kintsugi.commands import render
from kintsugi.commands.registry import definition_of
from kintsugi.errors import KintsugiError, KubeError, ProbeFailed, Refused
from kintsugi.model.command import Command
from kintsugi.telemetry import in_words

_LAST_PROBE = 5.0
"""The time limit in seconds of a probe that began before the deadline."""


async def run(clients: VerbClients, command: Command, *, deadline: timedelta, probe_context: ProbeContext) -> Result:
    """Run a command that only looks. Raises Refused for one that changes something, ProbeFailed when it takes too long."""
    verb = definition_of(command)
    if not isinstance(verb, ProbeVerb):
        raise Refused(f"{type(command).__name__} changes something: it is not a probe")
    try:
        # A command that lasts until its deadline ends by itself with its result; a second is for its last look.
        async with asyncio.timeout(deadline.total_seconds() + (_LAST_PROBE if verb.lasts else 0)):
            return await verb.read(clients, command, deadline=deadline, probe_context=probe_context)
    except TimeoutError as error:
        raise ProbeFailed(f"{render(command)}: no answer within {deadline.total_seconds():g} s") from error
    except KintsugiError:
        raise
    # Contained: errors of parsing an answer that does not match the API. Nothing is known then (P6).
    except Exception as error:
        raise KubeError(f"{render(command)}: the answer cannot be read: {in_words(error)}") from error
