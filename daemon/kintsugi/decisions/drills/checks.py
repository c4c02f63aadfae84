"""
A service's `integrity` checks, asked of the scratch database of a drill instead of the service's own.

Each `psql` that names the service's database with `-d` is redirected. Any other check says nothing about the backup.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from kintsugi.commands.registry import definition_of
from kintsugi.errors import CommandError
from kintsugi.model.command import Command, Psql
from kintsugi.model.runbooks import CommandTemplate, InOrder, Parallel, Run, Step

DATABASE = "database"
"""The parameter that names the database whose backups are tried."""

INTEGRITY = "integrity"
"""The list of checks of a service that says whether its data is whole."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RetargetedCommand:
    """A command that asks one database as if it were the other."""

    written: CommandTemplate
    database: str
    scratch: str

    @property
    def verb(self) -> str:
        """Return its row of the grammar."""
        return self.written.verb

    @property
    def source(self) -> str:
        """Return it as it was written, about the service's own database."""
        return self.written.source

    @property
    def changes(self) -> bool:
        """Return whether it changes anything: a check never does."""
        return self.written.changes

    @property
    def removes(self) -> bool:
        """Return whether it makes objects go: a check never does."""
        return self.written.removes

    @property
    def starts(self) -> bool:
        """Return whether it starts a workload: a check never does."""
        return self.written.starts

    @property
    def sends(self) -> bool:
        """Return that it never does."""
        return False

    @property
    def replaces_data(self) -> bool:
        """Return whether it replaces data: a check never does."""
        return self.written.replaces_data

    @property
    def reads(self) -> frozenset[str]:
        """Return the paths that its values are read from."""
        return self.written.reads

    @property
    def variables(self) -> frozenset[str]:
        """Return the names whose values are read."""
        return self.written.variables

    def sample(self, *, namespace: str = "sample") -> Command:
        """Bind plausible values."""
        return self._about_scratch(self.written.sample(namespace=namespace))

    def bind(self, names: Mapping[str, object], *, namespace: str) -> Command:
        """Put values in, and the scratch database for the other one. Raises CommandError or EvaluationError."""
        return self._about_scratch(self.written.bind(names, namespace=namespace))

    def _about_scratch(self, command: Command) -> Command:
        asked = question_of(command)
        if asked is None or asked.database != self.database:
            raise CommandError(f"{self.source!r} no longer asks {self.database}")
        about = replace(asked, database=self.scratch)
        return definition_of(command).asking(command, about)


def turned(steps: Iterable[Step], database: str, scratch: str) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    """Return the checks of the scratch database, and the names of those that cannot be asked of it."""
    kept: list[Step] = []
    left_out: list[str] = []
    for step in steps:
        match step.do:
            case InOrder(steps=inner) | Parallel(steps=inner):
                below, missing = turned(inner, database, scratch)
                left_out += missing
                if below:
                    kept.append(replace(step, do=replace(step.do, steps=below)))
            case Run(command=command) if asks(command, database):
                kept.append(
                    replace(
                        step, do=Run(command=RetargetedCommand(written=command, database=database, scratch=scratch))
                    )
                )
            case _:
                left_out.append(step.name or step.id)
    return tuple(kept), tuple(left_out)


def asks(command: CommandTemplate, database: str) -> bool:
    """Return whether a command is a question to this database, by what it says with `-d`."""
    try:
        asked = question_of(command.sample())
    except CommandError:
        return False
    return asked is not None and asked.database == database


def question_of(command: Command) -> Psql | None:
    """Return the question that a command puts to a database, None when it puts none."""
    return definition_of(command).question(command)
