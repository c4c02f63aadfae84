"""
Parses the words of a line into a row of the grammar with its flags and arguments, by click's parser.

Flags and arguments are distinguished here, while holes are still empty: a value that is filled in later can never
become either.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import click

from kintsugi.commands.command_problem import BY_A_PERSON, CommandProblem, NoCommandProblem
from kintsugi.commands.command_spec import CommandSpec, Flag
from kintsugi.commands.flags import KUBECTL
from kintsugi.commands.programs import PROGRAMS
from kintsugi.commands.registry import by_verb, definitions, missing_extras
from kintsugi.commands.tokens import Tokens, has_placeholder
from kintsugi.commands.verb_definition import VerbDefinition
from kintsugi.model.command import Command
from kubeobjects.spelling import nearest

_TOOLS = ("kubectl", "curl", "nslookup", "nc", "psql", "promtool", "kintsugi")
_SHORT_EQUALS = re.compile(r"(-[A-Za-z])=(.+)", re.DOTALL)
_SWITCHED = re.compile(r"(--[a-z-]+)=(true|false)")
_INSTEAD: Mapping[str, str] = {
    "edit": "write kubectl patch with the field, or a step for a person: `manual:`",
    "port-forward": "leave it out, and send the request to the Service itself: curl http://SERVICE.NAMESPACE:PORT/PATH",
    **dict.fromkeys(
        (
            *("apply", "replace", "create", "expose", "autoscale", "kustomize", "diff", "certificate", "taint"),
            *("debug", "run", "attach", "cp", "proxy", "plugin"),
        ),
        BY_A_PERSON,
    ),
    **dict.fromkeys(
        ("config", "cluster-info", "version", "api-resources", "api-versions", "explain", "completion", "options"),
        "leave it out: the daemon acts on its own cluster, as itself",
    ),
}
"""The verbs of kubectl that no runbook has, each with what to write instead."""

_ADMIN = frozenset({"top", "cordon", "uncordon", "drain"})
"""The verbs of `oc adm` that are kubectl's."""

_SHELLS = {"sh", "bash", "zsh", "ash", "dash", "eval", "exec", "sudo", "env", "xargs"}


@dataclass(frozen=True, kw_only=True, slots=True)
class ParsedLine:
    """
    A line split into its parts; texts, of which a switch has none, still have their holes' markers. `problem` is that of a
    flag that is refused or missing, which is told with what is wrong at other places.
    """

    spec: CommandSpec
    flags: tuple[tuple[Flag, tuple[str, ...]], ...]
    arguments: tuple[str, ...]
    problem: CommandProblem | None = None


def check_verb(words: list[str]) -> None:
    """Raise NoCommandProblem where the first words of a line are no command of a runbook."""
    try:
        _row(words)
    except NoCommandProblem:
        raise
    except CommandProblem:
        return


def read(tokens: Tokens) -> ParsedLine:
    """
    Return flags from arguments, once for each line.

    Raises CommandProblem for what the grammar does not know, with the nearest that it knows.
    """
    return _read(tokens, definitions())


@lru_cache(maxsize=1024)
def _read(tokens: Tokens, _verbs: tuple[VerbDefinition[Command], ...]) -> ParsedLine:
    """Read a line by the verbs that there are now."""
    spec, texts = _row(list(tokens.texts))
    try:
        context = _click_command(spec).make_context(str(spec.verb), _normal(spec, texts))
    except click.NoSuchOption as error:
        of_program = "; write -- before the program if it is its own" if spec.passes and "--" not in texts else ""
        raise CommandProblem(
            f"{spec.verb}: the flag {error.option_name} is not known{of_program}; it is written: {spec.usage}",
            meant=nearest(error.option_name, [name for flag in spec.flags for name in flag.names]),
        ) from error
    except click.UsageError as error:
        raise CommandProblem(
            f"{spec.verb}: {error.format_message().rstrip('.')}; it is written: {spec.usage}"
        ) from error
    values = [context.params[f"flag_{number}"] for number in range(len(spec.flags))]
    given = [(flag, value) for flag, value in zip(spec.flags, values, strict=True) if value]
    flags = tuple((flag, value if isinstance(value, tuple) else ()) for flag, value in given)
    arguments = tuple(context.params["arguments"])
    own = len(arguments) - max(0, len(texts) - _own(texts) - 1)
    wrong = next(_mistakes(spec, flags, own, arguments), None)
    kept = tuple((flag, texts) for flag, texts in flags if not flag.refused)
    return ParsedLine(spec=spec, flags=kept, arguments=arguments, problem=wrong)


def _row(texts: list[str]) -> tuple[CommandSpec, list[str]]:
    """Find the row, and the words that are left when its verb is taken out."""
    tool, *rest = texts
    if has_placeholder(tool):
        raise CommandProblem("the command itself cannot come from a value: write it out")
    if tool in _SHELLS:
        raise NoCommandProblem(f"{tool!r} is not understood, no shell runs here: write the command itself")
    if tool == "oc" and rest[:1] == ["adm"] and not _ADMIN.isdisjoint(rest[1:2]):
        rest = rest[1:]
    if tool in ("kubectl", "oc"):
        return _kubectl_row(rest)
    for extra, verbs in missing_extras().items():
        for verb in verbs:
            if texts[: len(verb.split())] == verb.split():
                raise CommandProblem(
                    f"{verb} needs the package kintsugi-{extra}, which is not installed: pip install 'kintsugi-daemon[{extra}]'"
                )
    for verb, spec in by_verb().items():
        program, *subcommand = verb.split()
        if program == tool and all(word.startswith("-") for word in subcommand):
            return spec, rest
    return _phrase_row(tool, rest)


def _phrase_row(tool: str, texts: list[str]) -> tuple[CommandSpec, list[str]]:
    """
    Return the row of a tool with known subcommands, whose words come first, and the remaining words. Raises
    CommandProblem.
    """
    tools = list(dict.fromkeys([*_TOOLS, *(verb.split()[0] for verb in by_verb())]))
    if tool not in tools:
        meant = nearest(tool, tools)
        raise NoCommandProblem(
            f"{tool!r} is not a known command: known are {', '.join(tools)}{'' if meant else f'; {_instead_of(tool)}'}",
            meant=meant,
        )
    specs = _of_tool(tool)
    for spec in specs:
        tokens = spec.verb.split()[1:]
        if texts[: len(tokens)] == tokens:
            return spec, texts[len(tokens) :]
    known = "one command" if len(specs) == 1 else f"{len(specs)} commands"
    raise NoCommandProblem(
        f"a runbook knows {known} of {tool}: {'; '.join(spec.usage for spec in specs)}; for any other, {BY_A_PERSON}"
    )


def _of_tool(tool: str) -> list[CommandSpec]:
    return [spec for verb, spec in by_verb().items() if verb.split()[0] == tool]


def _instead_of(tool: str) -> str:
    """Return what to write in the place of a tool that is run in a container, or by a person."""
    return f"run it in a pod, kubectl exec TYPE/NAME -- {tool} …, or {BY_A_PERSON}" if tool in PROGRAMS else BY_A_PERSON


def _kubectl_row(texts: list[str]) -> tuple[CommandSpec, list[str]]:
    leading, word, rest = _next_word("kubectl", texts)
    phrase = f"kubectl {word}"
    if any(verb.startswith(f"{phrase} ") and not verb.startswith(f"{phrase} --") for verb in by_verb()):
        more, second, rest = _next_word(phrase, rest)
        leading, phrase = leading + more, f"{phrase} {second}"
    verbs = [verb.removeprefix("kubectl ") for verb in by_verb() if verb.startswith("kubectl ")]
    if (tokens := phrase.removeprefix("kubectl ")) not in verbs:
        _refuse_verb(word, phrase)
        near = nearest(tokens, verbs)
        known = ", ".join(dict.fromkeys(verb.split()[0] for verb in verbs))
        raise NoCommandProblem(
            f"{phrase!r} is not a known command: known are kubectl {known}{'' if near else f'; {BY_A_PERSON}'}",
            meant=f"kubectl {near}" if near else "",
        )
    return by_verb()[_with_switch(phrase, rest)], leading + rest


def _refuse_verb(word: str, phrase: str) -> None:
    if (instead := _INSTEAD.get(word)) is not None:
        raise NoCommandProblem(f"{phrase!r} is no command of a runbook: {instead}")


def _with_switch(phrase: str, texts: list[str]) -> str:
    """Return the verb of a phrase whose flag makes it another command, as in `kubectl get --raw`."""
    given = {text.partition("=")[0] for text in texts[: _own(texts)] if not text.endswith("=false")}
    return next((verb for verb in by_verb() if verb.startswith(f"{phrase} --") and verb.split()[-1] in given), phrase)


def _next_word(before: str, texts: list[str]) -> tuple[list[str], str, list[str]]:
    """Split words into kubectl's general flags, the word after them, and the rest."""
    command = click.Command(
        before,
        params=[
            *(_option(f"flag_{number}", flag) for number, flag in enumerate(KUBECTL)),
            click.Argument(["rest"], nargs=-1, type=click.UNPROCESSED),
        ],
        context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
        add_help_option=False,
    )
    try:
        rest = list(command.make_context(before, _own_equals(texts)).params["rest"])
    except click.UsageError as error:
        raise CommandProblem(f"{before}: {error.format_message().rstrip('.')}") from error
    if not rest:
        raise CommandProblem(f"{before!r} is not complete: a verb follows, as in kubectl get pods")
    if rest[0].startswith("-"):
        _refuse_verb(before.removeprefix("kubectl "), before)
        raise CommandProblem(f"{before}: the flag {rest[0]} belongs after the verb")
    if has_placeholder(rest[0]):
        raise CommandProblem(f"{before}: the verb cannot come from a value: write it out")
    return [_equals(text) for text in texts[: len(texts) - len(rest)]], rest[0], rest[1:]


@cache
def _click_command(spec: CommandSpec) -> click.Command:
    options = [_option(f"flag_{number}", flag) for number, flag in enumerate(spec.flags)]
    arguments = click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)
    return click.Command(str(spec.verb), params=[*options, arguments], add_help_option=False)


def _option(name: str, flag: Flag) -> click.Option:
    if flag.kind is None:
        return click.Option([*flag.names, name], is_flag=True)
    return click.Option([*flag.names, name], multiple=True, type=click.UNPROCESSED)


def _own(texts: list[str]) -> int:
    """Count the words that are the command's own: those behind `--` are another program's."""
    return texts.index("--") if "--" in texts else len(texts)


def _own_equals(texts: list[str]) -> list[str]:
    end = _own(texts)
    return [*map(_equals, texts[:end]), *texts[end:]]


def _equals(text: str) -> str:
    """Write `-n=x`, which kubectl takes for `-n x`, as `-nx`."""
    return found[1] + found[2] if (found := _SHORT_EQUALS.fullmatch(text)) else text


def _normal(spec: CommandSpec, texts: list[str]) -> list[str]:
    """Write kubectl's other spellings of flags as click knows them."""
    if not spec.verb.startswith("kubectl "):
        return texts
    switches = {name for flag in spec.flags if flag.kind is None for name in flag.names}
    normal: list[str] = []
    end = _own(texts)
    for text in texts[:end]:
        found = _SWITCHED.fullmatch(text)
        if not found or found[1] not in switches:
            normal.append(_equals(text))
        elif found[2] == "true":
            normal.append(found[1])
    return normal + texts[end:]


def _mistakes(
    spec: CommandSpec, given: Sequence[tuple[Flag, tuple[str, ...]]], own: int, arguments: Sequence[str]
) -> Iterator[CommandProblem]:
    """
    Yield what is wrong with the flags of a line, and with a program whose words are not set apart: a flag of its own would
    be read as ours.
    """
    for flag, texts in given:
        if flag.refused:
            yield CommandProblem(f"{spec.verb}: {flag.names[-1]} is refused: {flag.refused}")
        if len(texts) > 1 and not flag.many:
            yield CommandProblem(f"{spec.verb}: {flag.names[-1]} is given {len(texts)} times")
    for flag in spec.flags:
        if flag.required and not any(each is flag for each, _ in given):
            assert flag.kind is not None, "a switch is never required"
            yield CommandProblem(
                f"{spec.verb}: {flag.names[-1]}={flag.kind.word} is missing; it is written: {spec.usage}"
            )
    if spec.passes and own == len(arguments) > 1:
        yield CommandProblem(f"{spec.verb}: write -- before {arguments[1]}; it is written: {spec.usage}")
    elif spec.passes and (own != 1 or len(arguments) == 1):
        yield CommandProblem(
            f"{spec.verb}: it takes one pod or TYPE/NAME, then --, then the program with its words; it is written: {spec.usage}"
        )
