"""
How a run looks at what it has restored itself: as the owner of the restored data, with a fixed search path.

Views and functions come with a backup, and so does where names are looked up: whoever could write to the backups has
written them. What a question calls runs with the rights of whoever asks, and a superuser may run commands on the server's
machine, in a read-only transaction, too. So every `psql` of the run that names the restored database asks as its owner.
"""

from collections.abc import Iterable
from dataclasses import replace

from kintsugi.commands import argv, decode
from kintsugi.drills.checks import question_of
from kintsugi.model.command import Command, Exec, PgRestore
from kintsugi.model.records import StepRecord
from kintsugi.model.restore import SEARCH_PATH, owner_of


def restored_databases(changes: Iterable[StepRecord]) -> frozenset[str]:
    """Name the databases that changes of a run have restored, or may have."""
    commands = [decode(step.command) for step in changes if step.command is not None]
    return frozenset(command.database for command in commands if isinstance(command, PgRestore))


def as_owner(command: Command, restored: frozenset[str]) -> Command:
    """Turn a question to a restored database into its owner's; any other command stays as it is."""
    asked = question_of(command)
    if asked is None or (asked.database or asked.user) not in restored:
        return command
    database = asked.database or asked.user
    about = replace(asked, database=database, user=owner_of(database), search_path=SEARCH_PATH)
    return replace(command, argv=tuple(argv(about))) if isinstance(command, Exec) else about
