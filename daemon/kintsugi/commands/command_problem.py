"""A problem of one line of a runbook, with its place in the line; `catalog` adds the file and the line number."""

from kintsugi.errors import CommandError

BY_A_PERSON = "write it as a step for a person: `manual:` with this command"


class CommandProblem(CommandError):
    """
    A line that is not a command we execute.

    `offset` counts characters of the line; `suggestion` is a phrase with what may have been meant, or empty.
    """

    def __init__(self, message: str, *, offset: int = 0, meant: str = "") -> None:
        self.message = message
        self.offset = offset
        self.suggestion = f"did you mean {meant!r}?" if meant else ""
        super().__init__(f"{message}; {self.suggestion}" if meant else message)


class NoCommandProblem(CommandProblem):
    """A tool, a verb or a program that no runbook has: nothing else about the line matters."""
