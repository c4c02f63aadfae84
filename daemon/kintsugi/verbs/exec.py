"""
`kubectl exec`: run a program that only reads, in a container.

Each program checks its own words; unknown ones are refused when the document is loaded.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from getopt import GetoptError, gnu_getopt

from typing_extensions import override

from kintsugi.actions import api_objects, psql
from kintsugi.actions.pods import ContainerRef, pods_of, running
from kintsugi.actions.probe import ProbeContext, Result
from kintsugi.actions.verb_bases import ProbeVerb, VerbClients
from kintsugi.commands import arg_types, argv, flags, queries, results
from kintsugi.commands.arg_types import NAME
from kintsugi.commands.command_problem import CommandProblem
from kintsugi.commands.command_spec import CommandSpec, Flag, ParsedCommand
from kintsugi.commands.kinds import WITH_PODS
from kintsugi.commands.queries import psql_of
from kintsugi.commands.references import named, place_of
from kintsugi.commands.results import ObjectType
from kintsugi.commands.words import namespace_option, option
from kintsugi.errors import ProbeFailed
from kintsugi.expressions import Type
from kintsugi.json_limits import MOST_LINES
from kintsugi.kube.execution import Executed
from kintsugi.model.command import Exec, ObjectName, Psql, Verb
from kintsugi.model.hosts import PodAddress
from kintsugi.offload import searched
from kintsugi.telemetry import SECRETS
from kubeobjects import predicates, unstructured
from kubeobjects import resources as of
from kubeobjects.kept import Pod
from kubeobjects.lines import quoted
from kubeobjects.resources import PODS
from kubeobjects.spelling import nearest
from kubeobjects.unstructured import Unstructured


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
    """Check the flags of a program, and return the other words."""
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
        raise CommandProblem(f"redis-cli: {question or 'a prompt'} is not known to be read-only: known are {known}")


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


def build(parsed: ParsedCommand) -> Exec:
    """Build `kubectl exec` of a program that only looks, in a pod or in one of a workload's pods."""
    target, *words = parsed.arguments
    (found,) = named(parsed, (target,)).objects
    called = tuple(word.text for word in words)
    if called[0] not in PROGRAMS:
        raise CommandProblem(
            f"{parsed.spec.verb}: {called[0]!r} is not known to be read-only, so it is not run in a container: "
            f"known are {', '.join(PROGRAMS)}",
            meant=nearest(called[0], list(PROGRAMS)),
        )
    PROGRAMS[called[0]].check(called, parsed.allowed_functions)
    return Exec(object=found, namespace=place_of(parsed), container=parsed.text("container"), argv=called)


class ExecVerb(ProbeVerb[Exec]):
    """The verb for the programs in `PROGRAMS`."""

    command = Exec
    spec = CommandSpec(
        verb=Verb.EXEC,
        changes=False,
        usage=f"kubectl exec [-it] POD | TYPE/NAME [-c CONTAINER] [-n NS] -- {USAGE}",
        example="kubectl exec -it statefulset/cache -- redis-cli PING",
        flags=(
            *flags.KUBECTL,
            Flag(names=("-c", "--container"), key="container", kind=NAME),
            *(Flag(names=names) for names in (("-i", "--stdin"), ("-t", "--tty"), ("-q", "--quiet"))),
        ),
        arguments=(arg_types.BARE, arg_types.PROGRAM_WORD),
        build=build,
        resources=WITH_PODS,
        bare=of.PODS,
        passes=True,
    )
    lasts = True

    @override
    def words(self, command: Exec) -> Iterator[str]:
        yield from [str(command.object), *namespace_option(command.namespace), *option("-c", command.container)]
        yield from ["--", *command.argv]

    @override
    def columns(self, command: Exec, type_of: ObjectType) -> Mapping[str, Type]:
        return results.PROGRAMS.get(command.argv[0], results.OUTPUT)

    async def read(
        self, clients: VerbClients, command: Exec, *, deadline: timedelta, probe_context: ProbeContext
    ) -> Result:
        """Run the program. Raises ProbeFailed when no container can take it, OutcomeUnknown when its end was not seen."""
        pods = sorted(await pods_of(clients.kube, command.object, command.namespace), key=unstructured.name)
        one = command.object.resource == PODS
        if command.argv[0] == "psql":
            asked = psql_of(command.argv)
            if one:
                container = running(pods[0], command.container)
            else:
                place = (command.object, command.container)
                container = await psql.primary(clients.containers, pods, place, asked, deadline)
            return await psql.inside(clients.containers, container, asked, deadline)
        container = running(pods[0], command.container) if one else _first_ready(pods, command)
        executed = await clients.containers.run(container, command.argv, within=deadline)
        size = len(executed.stdout) + len(executed.stderr)
        return await searched(size, lambda: _output(container, command.argv[0], executed))

    def question(self, command: Exec) -> Psql | None:
        """Return what its `psql` asks, None of any other program."""
        return queries.psql_of(command.argv) if command.argv[0] == "psql" else None

    def asking(self, command: Exec, question: Psql) -> Exec:
        """Return that its `psql` asks this, in the same container."""
        return replace(command, argv=tuple(argv(question)))

    @override
    def at_pod(self, command: Exec, pod: PodAddress) -> Exec | None:
        if command.namespace != pod.namespace:
            return None
        return replace(command, object=ObjectName(resource=PODS, name=pod.name))


VERBS = (ExecVerb(),)


def _first_ready(pods: list[Unstructured], command: Exec) -> ContainerRef:
    for pod in pods:
        kept = api_objects.convert(pod, Pod)
        if predicates.ready(kept) and not predicates.terminating(kept):
            return running(pod, command.container)
    raise ProbeFailed(f"{command.object} has no pod that is ready, of {len(pods)}")


def _output(container: ContainerRef, program: str, executed: Executed) -> Result:
    """Return the output of a program, also of one that failed."""
    text = SECRETS.text(executed.stdout.decode(errors="replace"))
    lines = [line.rstrip("\r") for line in text.removesuffix("\n").split("\n", MOST_LINES)[:MOST_LINES]] if text else []
    said = SECRETS.text(executed.stderr.decode(errors="replace").strip())
    names: dict[str, object] = {"lines": lines, "text": text, "exit_code": executed.exit_code}
    if program == "df" and executed.exit_code == 0:
        names["disk"] = disk_of(lines)
    failed = f"{container}: {program} exited {executed.exit_code}{f': {quoted(said)}' if said else ''}"
    cut = ", cut at 1 MiB" if executed.truncated else ", cut there" if len(lines) == MOST_LINES else ""
    return Result(
        names=names,
        summary=f"{container}: {program} exited {executed.exit_code}, {len(lines)} lines{cut}",
        failed=failed if executed.exit_code else "",
    )


def disk_of(lines: Sequence[str]) -> Mapping[str, int]:
    """Parse the output of `df -P -k PATH`, in bytes. Raises ProbeFailed for any other output."""
    words = " ".join(lines[1:]).split()
    try:
        size, used, free = (int(word) * 1024 for word in words[1:4])
    except ValueError as error:
        raise ProbeFailed(f"the output of df is not understood: {' '.join(lines)[:200]!r}") from error
    return {"size": size, "used": used, "free": free}
