"""
What `pg_restore --verbose` says on its standard error: what it is at, and the first thing that went wrong.

A dump's own text (commands, rows) stands in what it complains about, so nothing of this is ever passed on as a line.
"""

import re
from dataclasses import dataclass, field

from kintsugi.model.worker_results import WorkFailure

_SAYS = "pg_restore: "
_ERROR = re.compile(r"pg_restore: (?:\[[^]]*\] )?(?:error|fatal): (.*)")
_ENTRY = re.compile(r"pg_restore: from TOC entry \d+; \d+ \d+ (.*)")
_DOING = re.compile(r"pg_restore: ((?:creating|processing|executing|connecting|finished|launching) .*)")
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

    doing: str = ""
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
        elif found := _DOING.match(line):
            self.doing = found[1]

    def _more(self, line: str) -> None:
        """Add the server's detail to its sentence; from the command on it is the dump's own text."""
        self._over = self._over or line.startswith((_SAYS, "Command was:"))
        if not self._over and line.startswith(_MORE) and len(self.error) < _LONGEST:
            self.error = f"{self.error}; {line[:_LONGEST]}"


@dataclass(frozen=True, kw_only=True, slots=True)
class RestoreFailure:
    """What kind of failure it was, and the sentence for people."""

    kind: WorkFailure
    reason: str


def classify(complaints: ErrorOutput, where: str, ended: int) -> RestoreFailure:
    """Return why `pg_restore` ended with a code other than 0 (negative: by a signal) on the server `where`."""
    said = complaints.error
    if not said:
        how = f"was ended by signal {-ended}" if ended < 0 else f"ended with code {ended}"
        return RestoreFailure(kind=WorkFailure.FAILED, reason=f"pg_restore {how} and gave no reason")
    at = f" (at {complaints.entry})" if complaints.entry else ""
    if "No space left on device" in said:
        return RestoreFailure(kind=WorkFailure.DISK_FULL, reason=f"the disk of {where} is full: {said}{at}")
    if found := _EXTENSION.search(said):
        name = found[1] or found[2]
        return RestoreFailure(
            kind=WorkFailure.MISMATCH,
            reason=f"the dump needs the extension {name}, which is not installed on {where}: install it there",
        )
    if found := _ROLE.search(said):
        return RestoreFailure(
            kind=WorkFailure.MISMATCH,
            reason=f"the dump needs the role {found[1]}, which {where} does not have and which is not declared{at}",
        )
    if _AWAY.search(said):
        return RestoreFailure(kind=WorkFailure.UNREACHABLE, reason=f"{where} went away during the restore: {said}{at}")
    if "permission denied" in said or "must be owner" in said:
        return RestoreFailure(kind=WorkFailure.REFUSED, reason=f"{where} does not allow it: {said}{at}")
    return RestoreFailure(kind=WorkFailure.FAILED, reason=f"pg_restore: {said}{at}")
