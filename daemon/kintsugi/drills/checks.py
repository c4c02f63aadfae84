"""
A service's `integrity` checks, asked of the scratch database of a drill instead of the service's own.

What is turned is every `psql` that names the service's database with `-d`. Any other check tells nothing of the backup.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from kintsugi.commands import argv
from kintsugi.commands.queries import psql_of
from kintsugi.errors import CommandError
from kintsugi.model.command import Command, Exec, Psql, Verb
from kintsugi.model.documents import CommandTemplate, InOrder, Run, Step, Together

DATABASE = "database"
"""The parameter that names the database whose backups are tried."""

INTEGRITY = "integrity"
"""The list of checks of a service that says whether its data is whole."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Turned:
    """A command that asks one database as if it were the other."""

    written: CommandTemplate
    database: str
    scratch: str

    @property
    def verb(self) -> Verb:
        """Give its row of the grammar."""
        return self.written.verb

    @property
    def source(self) -> str:
        """Give it as it was written, about the service's own database."""
        return self.written.source

    @property
    def changes(self) -> bool:
        """Tell whether it changes anything: a check never does."""
        return self.written.changes

    @property
    def reads(self) -> frozenset[str]:
        """Give the paths that its values are read from."""
        return self.written.reads

    def sample(self, *, namespace: str = "sample") -> Command:
        """Bind plausible values."""
        return self._about_scratch(self.written.sample(namespace=namespace))

    def bind(self, names: Mapping[str, object], *, namespace: str) -> Command:
        """Put values in, and the scratch database for the other one. Raises CommandError or EvaluationError."""
        return self._about_scratch(self.written.bind(names, namespace=namespace))

    def _about_scratch(self, command: Command) -> Command:
        asked = question_of(command)
        if asked is None or asked.database != self.database:
            raise CommandError(f"{self.source!r} does not ask {self.database} any more")
        about = replace(asked, database=self.scratch)
        return replace(command, argv=tuple(argv(about))) if isinstance(command, Exec) else about


def turned(steps: Iterable[Step], database: str, scratch: str) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    """Give the checks of the scratch database, and the names of those that cannot be asked of it."""
    kept: list[Step] = []
    left_out: list[str] = []
    for step in steps:
        match step.do:
            case InOrder(steps=inner) | Together(steps=inner):
                below, missing = turned(inner, database, scratch)
                left_out += missing
                if below:
                    kept.append(replace(step, do=replace(step.do, steps=below)))
            case Run(command=command) if asks(command, database):
                kept.append(replace(step, do=Run(command=Turned(written=command, database=database, scratch=scratch))))
            case _:
                left_out.append(step.name or step.id)
    return tuple(kept), tuple(left_out)


def asks(command: CommandTemplate, database: str) -> bool:
    """Tell whether a command is a question to this database, by what it says with `-d`."""
    try:
        asked = question_of(command.sample())
    except CommandError:
        return False
    return asked is not None and asked.database == database


def question_of(command: Command) -> Psql | None:
    """Give the question that a command puts to a database, None when it puts none."""
    match command:
        case Psql():
            return command
        case Exec(argv=("psql", *_)):
            return psql_of(command.argv)
        case _:
            return None
