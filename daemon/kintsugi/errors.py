"""Every exception of the package; all are `KintsugiError`, and each class says when it is raised."""

from datetime import timedelta

from kubeobjects.errors import ObjectNotFound, ReadError, ReadForbidden


class KintsugiError(Exception):
    """Base of all errors that this package raises on purpose; its text is fit for a person."""


class UsageError(KintsugiError):
    """A request cannot be understood; the text says what would be right."""


class CatalogMismatch(UsageError):
    """A request is understood, and does not fit the documents that are in force."""


class EvaluationError(KintsugiError):
    """An expression has no answer on these values (absent field, wrong type, budget exceeded)."""


class CommandError(KintsugiError):
    """A command is not one that can be executed; the text says where and what would be right."""


class KubeError(KintsugiError, ReadError):
    """The Kubernetes API refused a request or could not be asked. `status` is its HTTP status, 0 for none."""

    def __init__(self, message: str, *, status: int = 0, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class NotFound(KubeError, ObjectNotFound):
    """The object does not exist."""


class Conflict(KubeError):
    """A precondition failed: the object is another one (uid) or has changed since (resourceVersion)."""


class Forbidden(KubeError, ReadForbidden):
    """A right is missing; the message is the server's and names verb and resource."""


class Gone(KubeError):
    """The requested resourceVersion is too old: list again."""


class Invalid(KubeError):
    """The server could not accept the request as written."""


class Unauthorized(KubeError):
    """The credentials are not accepted, after they were read anew."""


class TooManyRequests(KubeError):
    """The server sheds load, or a disruption budget says not now. `retry_after` is the server's word."""

    def __init__(self, message: str, *, retry_after: timedelta | None = None, reason: str = "") -> None:
        super().__init__(message, status=429, reason=reason)
        self.retry_after = retry_after


class ServerUnavailable(KubeError):
    """A read stayed unanswered until its deadline."""


class StreamSilent(ServerUnavailable):
    """An open answer has sent nothing for as long as it may."""


class OutcomeUnknown(KubeError):
    """A change was sent and its answer lost: it may or may not have happened. Probe; never repeat blindly."""


class LedgerError(KintsugiError):
    """The ledger refused a transition."""


class LedgerUnavailable(LedgerError, ReadError):
    """The ledger could not be read or written (down, full, read-only). Accept nothing, change nothing."""


class StaleEpoch(LedgerError):
    """Another daemon has taken the lead since: this one must stop without writing."""


class LedgerHeld(LedgerError):
    """Another live daemon holds this ledger."""


class BudgetSpent(LedgerError):
    """A namespace has seen as many changes of late as it may, or too few pods would stay; nothing was written."""


class NotRecorded(LedgerError):
    """The ledger has no such incident, run, signal or question."""


class WrongState(LedgerError):
    """A record is not in the state that the caller built on (compare and set failed): read again, then decide."""


class UnreadableRow(LedgerError):
    """A row of the ledger holds what this version cannot understand; the text names the row, its columns, and why."""


class StoreError(KintsugiError):
    """An object in S3 could not be read; the text is one sentence that says where and why."""


class StoreUnreachable(StoreError):
    """S3 could not be asked, gave no answer in time, or broke off more often than is waited for."""


class StoreRefused(StoreError):
    """S3 was asked and said no: wrong or expired credentials, a right, a bucket or a region. Asking again is no use."""


class StoreChanged(StoreError):
    """An object is gone, or is another one than was listed: it was written meanwhile. List again, or pass it over."""


class ProbeFailed(KintsugiError):
    """A service outside the cluster's API (HTTP, DNS, TCP) could not be asked; the text says why."""


class ResolverFailed(ProbeFailed):
    """A name was not resolved, and neither are the cluster's own where the daemon runs: no server was asked."""


class DecryptionFailed(KintsugiError):
    """An encrypted value of the ledger cannot be decrypted; the text has the reason and never the value. Nothing was changed."""


class NotAdmitted(KintsugiError):
    """The gate refused an effect for as long as this run lasts; nothing was changed. The text is the reason."""


class Refused(KintsugiError):
    """An action declined to act; nothing was changed. The text is the reason."""


class NotYet(Refused):
    """An action waits for something that is about to end by itself: ask again. The text says what."""
