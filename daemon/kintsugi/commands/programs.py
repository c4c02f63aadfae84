"""
The programs that `kubectl exec` may run in a container: those that are known to look only, and nothing else.

Each says how it is written and reads its own words; what it does not know is refused when the document is loaded.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from getopt import GetoptError, gnu_getopt

from kintsugi.commands import queries
from kintsugi.commands.problem import CommandProblem, nearest
from kintsugi.commands.references import named, place_of
from kintsugi.commands.row import Bound
from kintsugi.model.command import Exec


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """
    One program: `usage` for people, `check` raises CommandProblem for words with which it might do more than look.

    `check` is given the functions that the service's document vouches for, too.
    """

    usage: str
    check: Callable[[Sequence[str], frozenset[str]], None]


REDIS_QUESTIONS = ("PING", "INFO", "ROLE", "DBSIZE", "LASTSAVE", "CLUSTER INFO")


def _options(argv: Sequence[str], short: str) -> list[str]:
    """Read the flags of a program, and give the words that are none."""
    try:
        _, rest = gnu_getopt(list(argv[1:]), short)
    except GetoptError as error:
        raise CommandProblem(f"{argv[0]}: {error.msg}; it is written: {PROGRAMS[argv[0]].usage}") from error
    return rest


def _check_redis(argv: Sequence[str], _: frozenset[str]) -> None:
    question = " ".join(_options(argv, "h:p:n:")).upper()
    asks_section = question.startswith("INFO ") and question.count(" ") == 1
    if question not in REDIS_QUESTIONS and not asks_section:
        known = ", ".join(REDIS_QUESTIONS)
        raise CommandProblem(f"redis-cli: {question or 'a prompt'} is not known to look only: known are {known}")


def _check_ready(argv: Sequence[str], _: frozenset[str]) -> None:
    if rest := _options(argv, "h:p:U:d:t:q"):
        raise CommandProblem(
            f"pg_isready: {rest[0]!r} is not understood; it is written: {PROGRAMS['pg_isready'].usage}"
        )


def _check_df(argv: Sequence[str], _: frozenset[str]) -> None:
    """Take the one form whose answer is the same everywhere, and is read: POSIX's, in KiB, of one place."""
    if argv[1:-1] not in (("-P", "-k"), ("-k", "-P"), ("-Pk",), ("-kP",)) or argv[-1].startswith("-"):
        raise CommandProblem(f"df: it is written: {PROGRAMS['df'].usage}")


PROGRAMS: Mapping[str, Program] = {
    "psql": Program(usage=queries.USAGE, check=queries.check_psql),
    "pg_isready": Program(
        usage="pg_isready [-h HOST] [-p PORT] [-U USER] [-d DATABASE] [-t SECONDS]", check=_check_ready
    ),
    "df": Program(usage="df -P -k PATH", check=_check_df),
    "redis-cli": Program(
        usage=f"redis-cli [-h HOST] [-p PORT] [-n NUMBER] {'|'.join(REDIS_QUESTIONS)}", check=_check_redis
    ),
}
USAGE = " | ".join(program.usage for program in PROGRAMS.values())


def build_exec(bound: Bound) -> Exec:
    """Build `kubectl exec` of a program that only looks, in a pod or in one of a workload's pods."""
    target, *words = bound.arguments
    (found,) = named(bound, (target,)).objects
    argv = tuple(word.text for word in words)
    if argv[0] not in PROGRAMS:
        raise CommandProblem(
            f"{bound.row.verb}: {argv[0]!r} is not known to look only, so it is not run in a container: "
            f"known are {', '.join(PROGRAMS)}",
            meant=nearest(argv[0], list(PROGRAMS)),
        )
    PROGRAMS[argv[0]].check(argv, bound.vouched)
    return Exec(object=found, namespace=place_of(bound), container=bound.text("container"), argv=argv)
