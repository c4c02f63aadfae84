"""
The definition of a verb that needs no cluster: its grammar, and the objects of its commands.

A module of `kintsugi.verbs` defines one verb, or a few that are one thing in several directions (`cordon`, `uncordon`).
`actions.verb_bases` adds its execution.
"""

import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from kintsugi.commands.command_spec import CommandSpec
from kintsugi.commands.results import ObjectType, items
from kintsugi.expressions import Type
from kintsugi.model.command import Command, ObjectName, Psql
from kintsugi.model.hosts import PodAddress

C = TypeVar("C", bound=Command)


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyRule:
    """A right in the cluster that a verb needs, as a rule of a Role has it; `resource` may name a part: `pods/eviction`."""

    api_group: str
    resource: str
    verb: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{'.' if self.api_group else ''}{self.api_group}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """
    The content that a command writes to its object, as JSON text; where it may hold a secret it can be kept `encrypted`.

    `kind` is in which form it is written, which an encrypted one is bound to.
    """

    text: str
    kind: str
    encrypted: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class RestoredDatabase:
    """
    A database that a command restores, and how its data are read: as `owner`, with the schemas `search_path`.

    `container` is that of the command's own Job in which its server runs, "" where the server is a live one.
    """

    database: str
    owner: str
    search_path: str
    container: str = ""

    @property
    def on_own_server(self) -> bool:
        """Return whether the server lives and ends with the Job of the restore."""
        return bool(self.container)


class VerbDefinition(ABC, Generic[C]):
    """
    One verb of the grammar.

    `spec` is its row, None where no line of a runbook means it: it follows from another verb, or is an undo. `command`
    is the type of its commands, `rules` are what it needs in the cluster besides what everything is watched with.
    `removes`: its object is meant to go; `gone_is_done`: an object that anyone has removed is as it was meant to be.
    `rolls_out`: it is about the rollout of a workload; `writes_template`: it may set its pod template, and `restarts`: to
    what it was, with a stamp. `changes_replicas`: it says how many pods there are. `makes_job`: it creates a Job, which the
    run watches to its end. `begins_section`: it changes what was there before, so that a section which has made one is
    completed.
    `concerns_any_service`: the pods that it ends may be another service's than the run's, whose locks the run then
    takes. `rolls_back`: it takes a workload back to another revision, and its intent says from which (`revision`) to
    which (`to`). `outlasts_run`: what it has changed stays so after a run that has helped, for a person to take back.
    `has_undo`: a change by it can be undone, whatever its object; `allowed_in_drill`: a drill may change something by it. `sometimes_sends`: its row only looks, but for what `sends`.
    Of what only looks: `diagnoses`: the `text` of its result says what is wrong, and `remedy` what helps, which depends on
    the remedies that earlier runs have tried in vain; `asks_prometheus`: a Prometheus
    answers it; `reads_logs`: its result are lines of logs, which a step may `scan`; `runs_in_pods`: it runs a program in a pod; `previewed`: a few requests to the
    API server, which the preview of a run makes, too; `allowed_in_page`: a page of an alert may read something by it.
    """

    command: type[C]
    spec: CommandSpec | None = None
    rules: tuple[PolicyRule, ...] = ()
    removes: bool = False
    gone_is_done: bool = False
    concerns_any_service: bool = False
    rolls_out: bool = False
    writes_template: bool = False
    restarts: bool = False
    changes_replicas: bool = False
    makes_job: bool = False
    begins_section: bool = True
    rolls_back: bool = False
    outlasts_run: bool = False
    has_undo: bool = True
    allowed_in_drill: bool = False
    sometimes_sends: bool = False
    diagnoses: bool = False
    asks_prometheus: bool = False
    reads_logs: bool = False
    runs_in_pods: bool = False
    previewed: bool = False
    allowed_in_page: bool = False

    def is_of(self, command: C) -> bool:
        """Return whether a command of the type is this verb's, where several verbs share one."""
        return True

    @abstractmethod
    def words(self, command: C) -> Iterator[str]:
        """Yield the words that follow the verb, with the namespace."""

    def argv(self, command: C) -> list[str]:
        """Return a command's words as a terminal takes them."""
        assert self.spec is not None, f"{type(self).__name__} has no row: it says what its words are"
        return [*self.spec.verb.split(), *self.words(command)]

    def text(self, command: C) -> str:
        """Return a command as a person can paste it."""
        return shlex.join(self.argv(command))

    def objects(self, command: C) -> tuple[ObjectName, ...]:
        """Return the objects that a command names."""
        return ()

    def namespace(self, command: C) -> str:
        """Return the namespace of its objects, "" where they live in none."""
        return ""

    def columns(self, command: C, type_of: ObjectType) -> Mapping[str, Type]:
        """Return the names of a result that depend on the objects: `items`, and `item` where one was named."""
        return items(self.objects(command), (), type_of)

    def sends(self, command: C) -> bool:
        """Return whether a command changes something, though others of its row only look."""
        return False

    def payload(self, command: C) -> object:
        """
        Return the parts of a command that may hold secrets, nested as in the object.

        Empty unless a verb overrides it: names of objects, numbers, and the place of a Secret are not secret.
        """
        return []

    def content(self, command: C) -> Content | None:
        """Return the content that a command writes to its object as one text, None where it writes none."""
        return None

    def with_content(self, command: C, content: Content) -> Command:
        """Return a command with another content in its place."""
        raise TypeError(f"{type(self).__name__} has no content")

    def follows(self, command: C) -> bool:
        """Return whether a command goes on looking for as long as its step says (`for`), and not until it has an answer."""
        return False

    def removed_pod(self, command: C) -> str:
        """Return the name of the pod that a command ends, "" for any other: what it serves is counted by its budgets."""
        return ""

    def rolled_out(self, facts: Mapping[str, object]) -> bool:
        """Return whether a change that was made, with the facts of its intent, is about a rollout or has set a pod template."""
        return self.rolls_out or self.writes_template

    def conflict_key(self, command: C) -> object:
        """Return what of its objects a command is about, None where it never takes another change back."""
        return None

    def opposing_command(self, command: C) -> Command:
        """Return the command that a change is compared with the ways back of others as: itself, or what it does first."""
        return command

    def opposes(self, command: C, undo: C) -> bool:
        """Return whether a command goes the way back from another change, whose undo is of the same type and conflict key."""
        return False

    def starts(self, command: C) -> bool:
        """Return whether a command starts a workload that is at 0."""
        return False

    def stops(self, command: C) -> bool:
        """Return whether a command scales a workload to 0."""
        return False

    def replaces_data(self, command: C) -> bool:
        """Return whether a command puts other data in the place of a service's."""
        return False

    def to_good_revision(self, command: C) -> Command | None:
        """Return the command that takes its workload to the last revision that was seen good, None where its undo is better."""
        return None

    def restore(self, command: C) -> RestoredDatabase | None:
        """Return the database that a command restores, None for any other command."""
        return None

    def question(self, command: C) -> Psql | None:
        """Return the question that a command puts to a database, None for any other command."""
        return None

    def asking(self, command: C, question: Psql) -> Command:
        """Return a command that puts a question with another one in its place, asked where that was asked."""
        return question

    def at_pod(self, command: C, pod: PodAddress) -> Command | None:
        """Return a command that asks one pod what this asks its service, None where it does not ask that."""
        return None
