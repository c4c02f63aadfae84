"""
`promtool query instant`: one question to a Prometheus, in PromQL.

Prometheus itself judges the expression. A value is put into a quoted label value and nowhere else, and only one that cannot
end it: it is never syntax.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from typing_extensions import override

from kintsugi.actions.probe import ProbeContext, Result
from kintsugi.actions.verb_bases import ProbeVerb, VerbClients
from kintsugi.clients.prometheus import QueryAnswer, Sample
from kintsugi.commands import arg_types, results
from kintsugi.commands.arg_types import ArgType, matching
from kintsugi.commands.command_problem import CommandProblem
from kintsugi.commands.command_spec import CommandSpec, ParsedCommand
from kintsugi.expressions import format_value
from kintsugi.model.command import Command, Verb

MOST = 8 * 1024
"""Characters of an expression: it is sent as a part of the URL."""

_QUERY = re.compile(rf"(?=[^\x00]*\S)[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]{{1,{MOST}}}")
_STRING = re.compile(r"""\"(?:[^"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`[^`]*`""", re.DOTALL)
_VALUE = re.compile(r"[A-Za-z0-9_](?:[-A-Za-z0-9_.]{0,251}[A-Za-z0-9_])?")


@dataclass(frozen=True, kw_only=True, slots=True)
class InstantQuery(Command):
    """Ask a Prometheus, at its URL `server`, what a PromQL expression gives now."""

    server: str
    query: str


def _put(before: str, value: object) -> str:
    """Take a name inside quotes, and nothing else."""
    rest = _STRING.sub("", before)
    if not any(quote in rest for quote in "\"'`"):
        raise ValueError(
            'a value is allowed only inside the quotes of a label value, as in {namespace="${service.namespace}"}'
        )
    if not _VALUE.fullmatch(text := format_value(value)):
        raise ValueError(f"{text!r} is not a name (letters, digits, and _.- between them)")
    return text


def build(parsed: ParsedCommand) -> InstantQuery:
    """Build `promtool query instant SERVER EXPRESSION`."""
    server, query = parsed.exactly(2)
    url = str(server.value)
    if urlsplit(url).query or urlsplit(url).fragment:
        raise CommandProblem(f"{url!r} is not the URL of a Prometheus, as in http://prometheus.monitoring:9090")
    return InstantQuery(server=url, query=str(query.value))


QUERY = ArgType(
    word="EXPRESSION",
    shape="text",
    convert=matching(_QUERY, f"a PromQL expression of at most {MOST} characters"),
    sample="up",
    put=_put,
)


class InstantQueryVerb(ProbeVerb[InstantQuery]):
    """Asked at its URL."""

    command = InstantQuery
    asks_prometheus = True
    spec = CommandSpec(
        verb=Verb.INSTANT_QUERY,
        changes=False,
        usage="promtool query instant URL EXPRESSION",
        example="promtool query instant http://prometheus.monitoring:9090 'sum(up)'",
        flags=(),
        arguments=(arg_types.URL, QUERY),
        build=build,
        result=results.SAMPLES,
    )

    @override
    def words(self, command: InstantQuery) -> Iterator[str]:
        yield from [command.server, command.query]

    async def read(
        self, clients: VerbClients, command: InstantQuery, *, deadline: timedelta, probe_context: ProbeContext
    ) -> Result:
        """
        Send the query and return its samples. Raises ProbeFailed without an answer, Refused for an address that may not be
        asked.

        An answer without samples is valid and means that nothing was measured: it has no `value`, so that no comparison
        with it holds. `value` is also absent for NaN, which is neither more nor less than 0, and for several samples.
        """
        answer = await clients.clients.prometheus.instant(command.server, command.query, within=deadline)
        names: dict[str, object] = {
            "samples": [_columns(sample) for sample in answer.samples],
            "warnings": list(answer.warnings),
        }
        if len(answer.samples) == 1 and (value := answer.samples[0].value) is not None:
            names["value"] = value
        return Result(names=names, summary=_summary(command, answer))


VERBS = (InstantQueryVerb(),)


def _columns(sample: Sample) -> dict[str, object]:
    known = {} if sample.value is None else {"value": sample.value}
    return {"labels": dict(sample.labels), "text": sample.text, **known}


def _summary(command: InstantQuery, answer: QueryAnswer) -> str:
    match answer.samples:
        case (Sample(text=text),):
            result_text = text
        case samples:
            result_text = f"{len(samples) or 'no'} samples"
    warned = f" ({'; '.join(answer.warnings)})" if answer.warnings else ""
    return f"{command.server}: {result_text}{warned}"
