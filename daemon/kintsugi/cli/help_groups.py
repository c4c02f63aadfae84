"""The groups of `kintsugi --help`: each command with a summary that fits in its line, and an example for each group."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from typer.core import TyperGroup


@dataclass(frozen=True, kw_only=True, slots=True)
class HelpGroup:
    """A group of commands, each with its summary, and an example of one of them."""

    title: str
    example: str
    summaries: Mapping[str, str]


GROUPS = (
    HelpGroup(
        title="Look",
        example="kintsugi diagnose deployment/web -n production",
        summaries={
            "services": "Show the daemon, then each service and what happens now.",
            "why": "Show what happens with a service, and why.",
            "incidents": "List incidents, newest first.",
            "incident": "Show an incident: its cause, its changes, its outcome.",
            "diagnose": "Diagnose a workload now, the likeliest cause first.",
            "explain": "Explain a service, or what each rule says of an alert.",
            "signals": "List signals with their verdicts, newest first.",
            "pauses": "List the active pauses.",
            "dead-letters": "List input that could not be understood.",
            "manifest": "Print a workload as it was last good, for kubectl apply.",
            "login": "Remember the daemon's address, and your token's file.",
            "canary": "Send an alert that starts no run, and read its verdict.",
        },
    ),
    HelpGroup(
        title="Act",
        example="kintsugi approve inc-1m8py8krmdwpebnzw2b",
        summaries={
            "approve": "Show the plan that waits, ask, and approve it.",
            "answer": "Answer a manual step: done, does-not-apply or failed.",
            "recover": "Show the plan of a runbook, ask, and start it.",
            "rollback": "Show what a rollback does, ask, and roll the run back.",
            "resend": "Send a dead letter in again.",
            "restore": "Test whether backups can be restored.",
            "notify": "Send a test to the destinations of a notice route.",
        },
    ),
    HelpGroup(
        title="Stop",
        example='kintsugi pause --freeze --service web --why "a deploy"',
        summaries={
            "reject": "Reject the plan that waits for approval.",
            "abort": "End an incident: no further step, nothing is undone.",
            "take": "Take an incident: no run on its service until resume.",
            "pause": "Stop new changes: everywhere, or of one thing.",
            "resume": "Lift a pause, give back an incident, or end its rest.",
        },
    ),
    HelpGroup(
        title="Files, and the daemon",
        example="kintsugi init services/ -n production",
        summaries={
            "init": "Write a first catalog for the cluster's workloads.",
            "import": "Make runbooks of Markdown pages.",
            "validate": "Check rules and runbooks, and report every mistake.",
            "fmt": "Format rules and runbooks; comments stay.",
            "schema": "Print the JSON Schema of the documents, for editors.",
            "run": "Run the daemon until SIGTERM or SIGINT.",
            "demo": "Break services in embedded clusters, and watch.",
        },
    ),
)


class Formatter(Protocol):
    """The part of Click's HelpFormatter that is needed here; Typer has a copy of Click that it does not export."""

    current_indent: int

    def section(self, name: str) -> AbstractContextManager[None]:
        """Write a title, and indent what follows."""
        ...

    def write_dl(self, rows: Sequence[tuple[str, str]]) -> None:
        """Write a list of names with their texts."""
        ...

    def write(self, string: str) -> None:
        """Write a text as it is."""
        ...


class GroupedCommands(TyperGroup):
    """The commands of `kintsugi`, listed by what a person wants to do."""

    def format_commands(self, ctx: object, formatter: Formatter) -> None:
        """Write each group with its example."""
        for group in GROUPS:
            with formatter.section(group.title):
                formatter.write_dl(list(group.summaries.items()))
                formatter.write(f"{'':>{formatter.current_indent}}$ {group.example}\n")
