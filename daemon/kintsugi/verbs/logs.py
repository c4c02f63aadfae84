"""
`kubectl logs`: the lines of a pod, of the pods of a workload, or of those that a selector chooses.

Of a workload all pods are read, where kubectl takes the first: any of them may log the error.
"""

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from typing_extensions import override

from kintsugi.actions.pods import default_container, pods_of, status_of_container
from kintsugi.actions.probe import ProbeContext, Result
from kintsugi.actions.verb_bases import ProbeVerb, VerbClients
from kintsugi.commands import arg_types, flags, results
from kintsugi.commands.arg_types import NAME
from kintsugi.commands.command_spec import Argument, CommandSpec, Flag, ParsedCommand
from kintsugi.commands.kinds import WITH_PODS
from kintsugi.commands.references import named, place_of
from kintsugi.commands.words import duration, namespace_option, number, option, switch
from kintsugi.errors import Invalid, ProbeFailed
from kintsugi.json_limits import MOST_LINES
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import Command, ObjectName, Verb
from kintsugi.model.runbooks import Pattern, Severity
from kintsugi.offload import searched
from kintsugi.regex import AnyOf, compiled, literally
from kintsugi.telemetry import SECRETS
from kubeobjects import resources as of
from kubeobjects import unstructured
from kubeobjects.resources import PODS
from kubeobjects.unstructured import Unstructured

_MOST_READ = 32 * 1024 * 1024
_MOST_KEPT = 1024 * 1024
_MOST_STREAMS = 50

# Errors of the API server when there is no log: the container has not started, or the one before it was garbage collected.
_SILENT = ("is waiting to start", "does not have a host assigned", "previous terminated container")

MOST_FINDINGS = 1000
"""The most findings; the newest are kept, since they show the current problem."""

LONGEST_LINE = 4096

# As log_line_prefix (%e) writes it, as log_error_verbosity = verbose does, and in the JSON log. A process id in
# brackets, or a part of a time, is no code.
_SQLSTATE = re.compile(
    r'"state_code"\s*:\s*"([0-9A-Z]{5})"'
    r"|\b(?:WARNING|ERROR|FATAL|PANIC):\s+([0-9A-Z]{5}):"
    r"|(?<![\w\[.:+-])([0-9A-Z]{5})(?![\w\].:-])[^\n]{0,80}?\b(?:WARNING|ERROR|FATAL|PANIC):"
)


@dataclass(frozen=True, slots=True)
class Stream:
    """One log: of a container of a pod. `start` is the container's id, "" where it is not sure."""

    pod: str
    container: str
    previous: bool = False
    start: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """The text of a log; `cut`: its oldest part is left out."""

    lines: str
    cut: bool = False


@dataclass(frozen=True, slots=True)
class JoinedLogs:
    """The lines of several logs, one after the other, each with the place of its stream among them."""

    lines: list[str]
    origins: list[int]
    summary: str


def joined(texts: Sequence[Text], streams: Sequence[Stream], most: int, *, prefixed: bool) -> JoinedLogs:
    """Put the lines of several logs one after the other, of each its newest `most`."""
    lines: list[str] = []
    origins: list[int] = []
    cut = any(text.cut for text in texts)
    for origin, (stream, text) in enumerate(zip(streams, texts, strict=True)):
        prefix = f"[pod/{stream.pod}/{stream.container}] " if prefixed else ""
        found = text.lines.rsplit("\n", most) if text.lines else []
        if len(found) > most:
            found, cut = found[1:], True
        lines += [prefix + line for line in found] if prefix else found
        origins += [origin] * len(found)
    left_out = ", the oldest left out" if cut else ""
    return JoinedLogs(lines, origins, f"{len(lines)} lines from {len(streams)} containers{left_out}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Logs(Command):
    """Read the logs of a pod, or of the pods of a workload or selector; `follow` lasts as long as the step's `for`."""

    object: ObjectName | None = None
    labels: str = ""
    namespace: str
    container: str = ""
    all_containers: bool = False
    previous: bool = False
    follow: bool = False
    since: timedelta | None = None
    tail: int | None = None
    timestamps: bool = False
    prefix: bool = False


def build(parsed: ParsedCommand) -> Logs:
    """Build `kubectl logs`: of a pod, of a workload's pods, or of the pods that a selector chooses."""
    about, container = _logged(parsed)
    found = named(parsed, about).objects if about else ()
    labels = parsed.text("labels")
    if bool(found) == bool(labels) or len(found) > 1:
        raise parsed.misused("it takes one pod or TYPE/NAME, or else a selector (-l)")
    if container and parsed.on("all_containers"):
        raise parsed.misused("a container and --all-containers exclude each other")
    return Logs(
        object=found[0] if found else None,
        labels=labels,
        namespace=place_of(parsed),
        container=container,
        all_containers=parsed.on("all_containers"),
        previous=parsed.on("previous"),
        follow=parsed.on("follow"),
        since=parsed.duration("since"),
        tail=_tail(parsed),
        timestamps=parsed.on("timestamps"),
        prefix=parsed.on("prefix"),
    )


def _logged(parsed: ParsedCommand) -> tuple[tuple[Argument, ...], str]:
    """Return the arguments that name pods, and the container, which follows them as with kubectl, or is given by -c."""
    flag, *words = parsed.text("container"), *parsed.arguments
    if len(words) != 2 or words[1].object is not None or "/" in words[1].text or parsed.text("labels"):
        return parsed.arguments, flag
    if flag:
        raise parsed.misused("the container is given twice: after the pod, and with -c")
    return (words[0],), words[1].text


def _tail(parsed: ParsedCommand) -> int | None:
    """Return --tail; -1 is kubectl's word for all lines."""
    tail = parsed.number("tail")
    return tail if tail is not None and tail >= 0 else None


class LogsVerb(ProbeVerb[Logs]):
    """The verb for logs; a step's `scan` names the patterns that its lines are searched for."""

    command = Logs
    allowed_in_page = True
    spec = CommandSpec(
        verb=Verb.LOGS,
        changes=False,
        usage="kubectl logs POD [CONTAINER] | TYPE/NAME [CONTAINER] | -l SELECTOR [-c CONTAINER | --all-containers] [-p] [-f] "
        "[--since=DURATION] "
        "[--tail=N] [--timestamps] [--prefix] [-n NS]",
        example="kubectl logs web-1 --previous --tail=100",
        flags=(
            *flags.KUBECTL,
            flags.LABELS,
            Flag(names=("-c", "--container"), key="container", kind=NAME),
            Flag(names=("--all-containers",), key="all_containers"),
            Flag(names=("-p", "--previous"), key="previous"),
            Flag(names=("-f", "--follow"), key="follow"),
            Flag(names=("--since",), key="since", kind=arg_types.DURATION),
            Flag(names=("--tail",), key="tail", kind=arg_types.INTEGER),
            Flag(names=("--timestamps",), key="timestamps"),
            Flag(names=("--prefix",), key="prefix"),
            *(Flag(names=(name,)) for name in ("--all-pods", "--ignore-errors")),
            Flag(names=("--max-log-requests",), kind=arg_types.NATURAL),
        ),
        arguments=(arg_types.BARE, NAME),
        build=build,
        resources=WITH_PODS,
        bare=of.PODS,
        result=results.LINES,
    )
    lasts = True
    reads_logs = True

    @override
    def words(self, command: Logs) -> Iterator[str]:
        yield from [*([str(command.object)] if command.object else []), *option("-l", command.labels)]
        yield from [*namespace_option(command.namespace), *option("-c", command.container)]
        yield from [*switch("--all-containers", command.all_containers), *switch("-p", command.previous)]
        yield from [
            *switch("-f", command.follow),
            *duration("--since=", command.since),
            *number("--tail=", command.tail),
        ]
        yield from [*switch("--timestamps", command.timestamps), *switch("--prefix", command.prefix)]

    @override
    def follows(self, command: Logs) -> bool:
        return command.follow

    @override
    async def read(
        self, clients: VerbClients, command: Logs, *, deadline: timedelta, probe_context: ProbeContext
    ) -> Result:
        if probe_context.patterns:
            return await scan(clients.kube, command, probe_context.patterns, within=deadline)
        return await read_logs(clients.kube, command, within=deadline)


VERBS = (LogsVerb(),)


async def read_logs(kube: KubeClient, command: Logs, *, within: timedelta) -> Result:
    """
    Read logs: `lines`, stream after stream, and `sources`, the pod of each line.

    With `follow` they are read until `within` has passed. Of all together the newest 1 MiB is kept, of each stream its share:
    current errors are at the end.
    """
    pods = await _pods(kube, command)
    streams = [
        Stream(unstructured.name(pod), container, previous=command.previous)
        for pod in pods
        for container in _containers(pod, command)
    ]
    return _result(await _read(kube, command, streams, within), streams)


async def scan(kube: KubeClient, command: Logs, patterns: Iterable[Pattern], *, within: timedelta) -> Result:
    """
    Read logs and search them for patterns: `findings` and `starts`, besides the result of `read_logs`.

    Where a container has restarted, the log of the one before it is read first: it shows why. One that has not started has no
    log yet. A line has the `start` of its container only where that was the same before and after the read.
    """
    streams = [stream for pod in await _pods(kube, command) for stream in _with_previous(pod, command)]
    joined_logs = await _read(kube, command, streams, within, lenient=True)
    after = {stream for pod in await _pods(kube, command) for stream in _with_previous(pod, command)}
    starts = [stream.start if stream in after else "" for stream in streams]
    result = _result(joined_logs, streams)
    pods = [streams[origin].pod for origin in joined_logs.origins]
    of = [starts[origin] for origin in joined_logs.origins]
    known = tuple(patterns)
    size = sum(map(len, joined_logs.lines))
    found = await searched(size, lambda: find(joined_logs.lines, pods, known, of))
    critical = sum(each["severity"] == Severity.CRITICAL for each in found)
    summary = f"{result.summary}; {len(found)} findings, {critical} of them critical"
    return Result(names={**result.names, "findings": found, "starts": by_start(found)}, summary=summary)


def _with_previous(pod: Unstructured, command: Logs) -> Iterator[Stream]:
    for container in _containers(pod, command):
        status = status_of_container(pod, container)
        before = unstructured.nested_string(status, "lastState", "terminated", "containerID")
        # While a container waits to be started again, its log is still the one of the container before.
        present = unstructured.nested_string(status, "containerID")
        if unstructured.nested_int(status, "restartCount") > 0 and not command.previous:
            yield Stream(unstructured.name(pod), container, previous=True, start=before)
        yield Stream(
            unstructured.name(pod), container, previous=command.previous, start=before if command.previous else present
        )


def _result(joined_logs: JoinedLogs, streams: Sequence[Stream]) -> Result:
    sources = [streams[origin].pod for origin in joined_logs.origins]
    return Result(names={"lines": joined_logs.lines, "sources": sources}, summary=joined_logs.summary)


async def _read(
    kube: KubeClient, command: Logs, streams: Sequence[Stream], within: timedelta, *, lenient: bool = False
) -> JoinedLogs:
    if not streams:
        raise ProbeFailed(f"no pods to read the logs of ({command.object or command.labels} in {command.namespace})")
    if len(streams) > _MOST_STREAMS:
        raise ProbeFailed(
            f"{len(streams)} logs are too many to read at once: at most {_MOST_STREAMS}, narrow it with -l or -c"
        )
    share = _MOST_KEPT // len(streams)
    read_one = _lenient_text if lenient else _text
    texts = await asyncio.gather(*(read_one(kube, command, stream, share, within) for stream in streams))
    return joined(texts, streams, MOST_LINES // len(streams), prefixed=command.prefix)


async def _pods(kube: KubeClient, command: Logs) -> Sequence[Unstructured]:
    if command.object is None:
        return (await kube.list(PODS, command.namespace, labels=command.labels)).items
    return await pods_of(kube, command.object, command.namespace)


def _containers(pod: Unstructured, command: Logs) -> list[str]:
    """Return the containers whose logs are wanted; without -c kubectl's default: the annotated one, else the first."""
    if command.container:
        return [command.container]
    spec = unstructured.nested_map(pod, "spec")
    main = [unstructured.nested_string(each, "name") for each in unstructured.nested_maps(spec, "containers")]
    if command.all_containers:
        others = [unstructured.nested_maps(spec, kind) for kind in ("initContainers", "ephemeralContainers")]
        first, last = ([unstructured.nested_string(each, "name") for each in kind] for kind in others)
        return [*first, *main, *last]
    return [name] if (name := default_container(pod)) else []


async def _lenient_text(kube: KubeClient, command: Logs, stream: Stream, share: int, within: timedelta) -> Text:
    """Read a log that may not exist yet, or no longer."""
    try:
        return await _text(kube, command, stream, share, within)
    except Invalid as error:
        if any(words in str(error) for words in _SILENT):
            return Text("")
        raise


async def _text(kube: KubeClient, command: Logs, stream: Stream, share: int, within: timedelta) -> Text:
    chunks = kube.logs(
        stream.pod,
        command.namespace,
        container=stream.container,
        previous=stream.previous,
        since=command.since,
        tail=command.tail,
        timestamps=command.timestamps,
        follow=command.follow and not stream.previous,
        limit_bytes=_MOST_READ,
        deadline=within,
    )
    kept, read = bytearray(), 0
    async for chunk in chunks:
        kept += chunk
        read += len(chunk)
        if len(kept) > 2 * share:
            del kept[:-share]
    text = bytes(kept[-share:]).decode(errors="replace").removesuffix("\n")
    # The first line after the cut is incomplete.
    return Text(text.partition("\n")[2], cut=True) if read > share else Text(text)


def find(
    lines: Sequence[str], pods: Sequence[str], patterns: Iterable[Pattern], starts: Sequence[str] = ()
) -> list[dict[str, object]]:
    """
    Return the findings in the lines, in their order; `pods` names the pod of each line.

    `starts` names the start of a container that each line is of, "" where that is not known.
    """
    known = [(compiled(pattern.match), pattern) for pattern in patterns]
    # Ask of a line at once what few lines have: what fits one of the patterns, or a code that one of them names.
    prefilter = AnyOf(text for _, each in known for text in (each.match, *map(literally, each.sqlstate)))
    found: list[dict[str, object]] = []
    for whole, pod, start in zip(lines, pods, starts or [""] * len(lines), strict=True):
        line = whole[:LONGEST_LINE]
        if not prefilter.may_search(line):
            continue
        code = sqlstate_of(line)
        pattern = next((each for regex, each in known if code in each.sqlstate or regex.searches(line)), None)
        if pattern is not None:
            found.append(
                {
                    "severity": str(pattern.severity),
                    "means": pattern.means,
                    "line": line,
                    "pod": pod,
                    "sqlstate": code,
                    "start": start,
                }
            )
    return [{**each, "line": SECRETS.text(str(each["line"]))} for each in found[-MOST_FINDINGS:]]


def by_start(findings: Iterable[Mapping[str, object]]) -> list[dict[str, object]]:
    """Return what was found of each start of a container that is sure: `pod`, `start`, and the `means` of its lines."""
    means: dict[tuple[object, object], dict[object, None]] = {}
    for each in findings:
        if each["start"]:
            means.setdefault((each["pod"], each["start"]), {})[each["means"]] = None
    return [{"pod": pod, "start": start, "means": list(found)} for (pod, start), found in means.items()]


def sqlstate_of(line: str) -> str:
    """Return the SQLSTATE that a line of PostgreSQL's log carries, "" when it carries none."""
    found = _SQLSTATE.search(line)
    return next((code for code in found.groups() if code), "") if found else ""
