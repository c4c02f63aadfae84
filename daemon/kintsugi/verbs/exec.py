"""
`kubectl exec`: run a program that only reads, in a container.

Which programs, and the bounds of their words, is in `commands.programs`: anything else is refused when the document is loaded.
What only the pod's own specification tells (its mounted Secrets, its variables) is looked at before the program runs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import product

from typing_extensions import override

from kintsugi.actions import api_objects, container_secrets, psql
from kintsugi.actions.pods import ContainerRef, pods_of, running
from kintsugi.actions.probe import ProbeContext, Result
from kintsugi.actions.verb_bases import ProbeVerb, VerbClients
from kintsugi.commands import arg_types, argv, flags, programs, queries, results
from kintsugi.commands.arg_types import NAME
from kintsugi.commands.command_problem import BY_A_PERSON, CommandProblem, NoCommandProblem
from kintsugi.commands.command_spec import CommandSpec, Flag, ParsedCommand
from kintsugi.commands.kinds import WITH_PODS
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
from kubeobjects.resources import PODS, SERVICES
from kubeobjects.spelling import nearest
from kubeobjects.unstructured import Unstructured

_SAMPLES = ("sample", "/sample", "1")
"""What a value may be before it is known: a name, a path or a number."""


def build(parsed: ParsedCommand) -> Exec:
    """Build `kubectl exec` of a program that only looks, in a pod or in one of the pods of a workload or a Service."""
    target, *words = parsed.arguments
    (found,) = named(parsed, (target,)).objects
    called = tuple(word.text for word in words)
    if programs.name_of(called[0]) not in programs.PROGRAMS:
        raise NoCommandProblem(
            f"{parsed.spec.verb}: {called[0]!r} is not known to be read-only, so it is not run in a container: "
            f"known are {', '.join(programs.PROGRAMS)}; for any other, {BY_A_PERSON}",
            meant=nearest(called[0], list(programs.PROGRAMS)),
        )
    if parsed.sampled:
        called = _with_samples(called, parsed.allowed_functions)
    _check(called, parsed.allowed_functions)
    return Exec(object=found, namespace=place_of(parsed), container=parsed.text("container"), argv=called)


def _check(called: tuple[str, ...], allowed_functions: frozenset[str]) -> None:
    if called[0] == "psql":
        queries.check_psql(called, allowed_functions)
    else:
        programs.check(called)


def _with_samples(called: tuple[str, ...], allowed_functions: frozenset[str]) -> tuple[str, ...]:
    """Return the words with the samples that fit their places, the same words where none does."""
    for sample, piece in product(
        _SAMPLES, ("1", "a1")
    ):  # the piece of a word is "1", with which no name of a Service begins
        tried = tuple(sample if word == _SAMPLES[0] else word.replace("1", piece) for word in called)
        try:
            _check(tried, allowed_functions)
        except CommandProblem:
            continue
        return tried
    return called


class ExecVerb(ProbeVerb[Exec]):
    """The verb for the programs of `commands.programs`."""

    command = Exec
    spec = CommandSpec(
        verb=Verb.EXEC,
        changes=False,
        usage="kubectl exec [-it] POD | TYPE/NAME [-c CONTAINER] [-n NS] -- PROGRAM [WORD…]",
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
    runs_in_pods = True

    @override
    def words(self, command: Exec) -> Iterator[str]:
        yield from [str(command.object), *namespace_option(command.namespace), *option("-c", command.container)]
        yield from ["--", *command.argv]

    @override
    def columns(self, command: Exec, type_of: ObjectType) -> Mapping[str, Type]:
        if command.argv[0] == "psql":
            return results.TABLE
        return {**results.OUTPUT, **results.DISK} if _is_posix_df(command) else results.OUTPUT

    async def read(
        self, clients: VerbClients, command: Exec, *, deadline: timedelta, probe_context: ProbeContext
    ) -> Result:
        """Run the program. Raises ProbeFailed when no container can take it, OutcomeUnknown when its end was not seen."""
        pods = sorted(await pods_of(clients.kube, command.object, command.namespace), key=unstructured.name)
        question = self.question(command)
        if question is not None and command.object.resource not in (PODS, SERVICES):
            place = (command.object, command.container)
            container = await psql.primary(clients.containers, pods, place, question, deadline)
        elif command.object.resource == PODS:
            container = running(pods[0], command.container)
        else:
            container = _first_ready(pods, command)
        if question is not None:
            return await psql.inside(clients.containers, container, question, deadline)
        pod = next(each for each in pods if unstructured.name(each) == container.pod)
        await container_secrets.check(clients, pod, container.name, command.argv)
        executed = await clients.containers.run(container, command.argv, within=deadline)
        size = len(executed.stdout) + len(executed.stderr)
        masked = container_secrets.masked(pod, container.name, command.argv)
        return await searched(size, lambda: _output(container, command, executed, masked))

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


def _is_posix_df(command: Exec) -> bool:
    return programs.is_form(programs.POSIX_DF, command.argv)


def _output(container: ContainerRef, command: Exec, executed: Executed, masked: Callable[[str], str]) -> Result:
    """Return the output of a program, also of one that failed."""
    program = command.argv[0]
    text = SECRETS.text(masked(executed.stdout.decode(errors="replace")))
    lines = [line.rstrip("\r") for line in text.removesuffix("\n").split("\n", MOST_LINES)[:MOST_LINES]] if text else []
    said = SECRETS.text(executed.stderr.decode(errors="replace").strip())
    names: dict[str, object] = {"lines": lines, "text": text, "exit_code": executed.exit_code}
    if _is_posix_df(command) and executed.exit_code == 0:
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
