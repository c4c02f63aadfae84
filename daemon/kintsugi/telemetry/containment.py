"""
Contains the failure of one rule, service, object or incident, so that it does not affect the others.

Every input may be broken or hostile. Where many items are processed one by one, each is processed inside
`Containment.around`: an error is logged with the item's name and counted, and the next item follows. An error outside
of it, or one that passes it, ends its task and with it the daemon.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Generic, ParamSpec, Self

from kintsugi.errors import KintsugiError, LedgerUnavailable, StaleEpoch
from kintsugi.telemetry.log_config import get_logger

log = get_logger(__name__)

_MOST_NAMES = 10_000
"""Names whose failures are counted one by one; beyond, counting begins anew, and each is logged once more."""


Event = ParamSpec("Event")

_PASSED_ON = (LedgerUnavailable, StaleEpoch)


class FailureScope(StrEnum):
    """The kind of an item whose failure is contained."""

    RULE = "rule"
    SERVICE = "service"
    OBJECT = "object"
    INCIDENT = "incident"
    SIGNAL = "signal"
    RUN = "run"
    LISTENER = "listener"


class Containment:
    """
    The failures of one daemon that are contained, by scope and name.

    Contained is every Exception but LedgerUnavailable and StaleEpoch: whether the ledger can be written, and who leads, is
    not the affair of one rule or object. A cancellation is no Exception, and passes too.
    """

    def __init__(self) -> None:
        self._failures: Counter[tuple[FailureScope, str]] = Counter()
        self._listeners: list[Callable[[FailureScope], None]] = []

    def on_contained(self, listener: Callable[[FailureScope], None]) -> None:
        """Call `listener` with the scope of everything that is contained from now on."""
        self._listeners.append(listener)

    def around(self, scope: FailureScope, name: str) -> "ContainedCall":
        """
        Contain what the body of a `with` raises about the rule, service, object or incident `name`.

        The body may await. A caller that must act after a failure asks the returned ContainedCall.
        """
        return ContainedCall(self, scope, name)

    def contain(self, scope: FailureScope, name: str, error: Exception) -> None:
        """
        Log and count an error that was caught; raise it again when it does not belong to this one item.

        For code that runs so often that the cost of `around` matters. The 1st, 2nd, 4th, 8th … failure of a name is
        logged: no flood of traces.
        """
        if _passes(error):
            raise error
        if len(self._failures) >= _MOST_NAMES:
            self._failures.clear()
        self._failures[scope, name] += 1
        failures = self._failures[scope, name]
        if failures & (failures - 1) == 0:
            # An error of ours says all that a person needs; of any other it must be found out where it came from.
            trace = None if isinstance(error, KintsugiError) else error
            log.error(
                "failure contained", scope=scope, name=name, failures=failures, error=in_words(error), exc_info=trace
            )
        for listener in self._listeners:
            listener(scope)


class ContainedCall:
    """One call for one of many. `error` is what was contained, None when the call came to its end."""

    __slots__ = ("_containment", "_name", "_scope", "error")

    def __init__(self, containment: Containment, scope: FailureScope, name: str) -> None:
        self._containment = containment
        self._scope = scope
        self._name = name
        self.error: Exception | None = None

    @property
    def failed(self) -> bool:
        """Return whether something was contained."""
        return self.error is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        # A cancellation, or the end of the process, is no Exception: it goes on its way.
        if not isinstance(error, Exception) or _passes(error):
            return False
        self.error = error
        self._containment.contain(self._scope, self._name, error)
        return True


class Listeners(Generic[Event]):
    """Those who are called with each event of one kind; the failure of one is contained, and does not affect the others."""

    def __init__(self, containment: Containment) -> None:
        self._containment = containment
        self._listeners: list[Callable[Event, None]] = []

    def __call__(self, listener: Callable[Event, None]) -> None:
        """Call `listener` with each event from now on."""
        self._listeners.append(listener)

    def notify(self, about: str, *event: Event.args, **more: Event.kwargs) -> None:
        """Call each listener; `about` names the event in the log where one fails."""
        for listener in self._listeners:
            with self._containment.around(FailureScope.LISTENER, about):
                listener(*event, **more)


@contextmanager
def refused_as(
    refusal: Callable[[Exception], KintsugiError], *, passing: tuple[type[Exception], ...] = (KintsugiError,)
) -> Iterator[None]:
    """
    Raise what the body of a `with` raises as an error of ours, which `refusal` makes of it; those of `passing` go on as they are.

    For the borders of clients: a library that reads what a stranger has answered raises whatever comes of it. A cancellation
    is no Exception, and passes.
    """
    try:
        yield
    except passing:
        raise
    # Refused: whatever it is, who asked hears of it in words.
    except Exception as error:
        raise refusal(error) from error


def in_words(error: BaseException) -> str:
    """Return what was raised, in one bounded line; the type where it is no error that was raised on purpose."""
    text = " ".join(str(error).split())[:300]
    if isinstance(error, KintsugiError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _passes(error: Exception) -> bool:
    """Return whether an error, or one in a group of errors, does not belong to one item."""
    if isinstance(error, ExceptionGroup):
        return error.subgroup(_PASSED_ON) is not None
    return isinstance(error, _PASSED_ON)
