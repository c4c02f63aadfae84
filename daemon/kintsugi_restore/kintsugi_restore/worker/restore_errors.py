"""
Reads the standard error of `pg_restore --verbose`: the current progress, and the first failure.

Its messages contain text of the dump (commands, rows), so none of them is passed on as a line.
"""

import re
from dataclasses import dataclass, field

from kintsugi_restore.worker_results import WorkFailure

_PREFIX = "pg_restore: "
_ERROR = re.compile(r"pg_restore: (?:\[[^]]*\] )?(?:error|fatal): (.*)")
_ENTRY = re.compile(r"pg_restore: from TOC entry \d+; \d+ \d+ (.*)")
_ACTIVITY = re.compile(r"pg_restore: ((?:creating|processing|executing|connecting|finished|launching) .*)")
# Of a reason this much is kept: enough for the server's sentence with its detail.
_LONGEST = 2000
_MORE = ("DETAIL:", "HINT:", "CONTEXT:")

_ROLE = re.compile(r'role "([^"]+)" does not exist')
_EXTENSION = re.compile(
    r'extension "([^"]+)" is not available|could not open extension control file "[^"]*/([^"/]+)\.control"'
)
_AWAY = re.compile(
    r"server closed the connection|terminating connection|connection to server|no connection to the server"
    r"|the database system is|could not receive data|SSL SYSCALL"
)


@dataclass(kw_only=True, slots=True)
class ErrorOutput:
    """The standard error of one `pg_restore`, taken in piece by piece in bounded memory."""

    activity: str = ""
    entry: str = ""
    error: str = ""
    _rest: bytes = field(default=b"", repr=False)
    _over: bool = field(default=False, repr=False)

    def take(self, piece: bytes) -> None:
        """Take in what was read."""
        *lines, rest = (self._rest + piece).split(b"\n")
        for line in lines:
            self._line(line.decode(errors="replace"))
        self._rest = rest[-_LONGEST:]

    def _line(self, line: str) -> None:
        if self.error:
            self._more(line)
        elif found := _ERROR.match(line):
            self.error = found[1][:_LONGEST]
        elif found := _ENTRY.match(line):
            self.entry = found[1]
        elif found := _ACTIVITY.match(line):
            self.activity = found[1]

    def _more(self, line: str) -> None:
        """Add the server's detail to its sentence; from the command on it is the dump's own text."""
        self._over = self._over or line.startswith((_PREFIX, "Command was:"))
        if not self._over and line.startswith(_MORE) and len(self.error) < _LONGEST:
            self.error = f"{self.error}; {line[:_LONGEST]}"


@dataclass(frozen=True, kw_only=True, slots=True)
class RestoreFailure:
    """The failure of a restore: its kind, and the sentence for people."""

    kind: WorkFailure
    reason: str


def classify(output: ErrorOutput, where: str, ended: int) -> RestoreFailure:
    """Return why `pg_restore` ended with a code other than 0 (negative: by a signal) on the server `where`."""
    error = output.error
    if not error:
        how = f"was ended by signal {-ended}" if ended < 0 else f"ended with code {ended}"
        return RestoreFailure(kind=WorkFailure.FAILED, reason=f"pg_restore {how} and gave no reason")
    at = f" (at {output.entry})" if output.entry else ""
    if "No space left on device" in error:
        return RestoreFailure(kind=WorkFailure.DISK_FULL, reason=f"the disk of {where} is full: {error}{at}")
    if found := _EXTENSION.search(error):
        name = found[1] or found[2]
        return RestoreFailure(
            kind=WorkFailure.MISMATCH,
            reason=f"the dump needs the extension {name}, which is not installed on {where}: install it there",
        )
    if found := _ROLE.search(error):
        return RestoreFailure(
            kind=WorkFailure.MISMATCH,
            reason=f"the dump needs the role {found[1]}, which {where} does not have and which is not declared{at}",
        )
    if _AWAY.search(error):
        return RestoreFailure(kind=WorkFailure.UNREACHABLE, reason=f"{where} went away during the restore: {error}{at}")
    if "permission denied" in error or "must be owner" in error:
        return RestoreFailure(kind=WorkFailure.REFUSED, reason=f"{where} does not allow it: {error}{at}")
    return RestoreFailure(kind=WorkFailure.FAILED, reason=f"pg_restore: {error}{at}")
