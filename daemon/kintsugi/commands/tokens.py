"""
Splits a line of text into words: the first step of parsing a command, before any value is known.

A line is split as a POSIX shell would split it, but all that a shell would *do* (pipes, substitution, globs) is refused
with a suggestion. `${…}` holes are cut out first, so that a value can never become a further word or a flag.
"""

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kintsugi.commands.command_problem import BY_A_PERSON, CommandProblem
from kintsugi.commands.left_open import IN_ANGLES, SHELL_VARIABLE, LeftOpen, parameter_name
from kintsugi.expressions import ExpressionProblem, placeholders_in

_FIRST = 0xE000
"""The marker of the first hole: each hole is one character of Unicode's private use area, numbered from here."""
_MOST_HOLES = 64
_MOST_NAMES = 3
_MARKER = re.compile("([\ue000-\ue0ff])")
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ue000-\uf8ff]")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")

_ONE_COMMAND = "a step runs one command: write the next one as a step of its own"
_RESULTS = "read what a command gives in `expect`, `when` and later steps, as in items, lines or steps.ID.item"
_INNER = (
    "make the inner command a step before this one, and write here what it gives, as in ${steps.ID.item.metadata.name}"
)
_SHELL = {
    "|": f"a pipe (|) is not understood, no shell runs here: leave out what follows, and {_RESULTS}",
    ";": f"a semicolon (;) is not understood: {_ONE_COMMAND}",
    "&": f"an ampersand (&) is not understood: {_ONE_COMMAND}, under `parallel:` if both may run at once; quote it in a URL",
    ">": "a redirect (>) is not understood: leave it out, what a command gives is kept with the incident",
    "<": f"a redirect (<) is not understood: give a command its values as arguments, with ${{…}}, or {BY_A_PERSON}",
    "`": f"back-quotes (`) are not understood, no shell runs here: {_INNER}",
    "(": "a bracket outside quotes is not understood: quote a set selector, as in -l 'app in (web, api)'",
    ")": "a bracket outside quotes is not understood: quote a set selector, as in -l 'app in (web, api)'",
    "*": "a glob (*) is not understood, no shell runs here: write each name out (of files, their folder), or choose objects with -l or with forEach",
    "\n": f"a line break is not understood: {_ONE_COMMAND}; a long command continues on the next line after a backslash",
}
_ACTS = re.compile(r"\|\s*(?:\w+=(?:\"[^\"]*\"|\S*)\s+)*(?:sudo|sh|bash|xargs|while|kubectl|oc)\b")
_THAT_ACTS = (
    "a pipe (|) into another command is not understood, no shell runs here: make that command a step of its own, with "
    f"`forEach` if it is run for each item, or {BY_A_PERSON}"
)
_OTHERWISE = "|| is not understood, no shell runs here: leave it out; `onFailure` of the step says how the run goes on if it fails"
_SUBSTITUTION = f"$( ) is not understood, no shell runs here: {_INNER}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Placeholder:
    """A `${…}` as written: the expression's text, and where it starts in the line; `open` is what stands for it on a page."""

    source: str
    offset: int
    open: LeftOpen | None = None


class ShellProblem(CommandProblem):
    """What only a shell could do; `ends` says that a command which stands before it is whole."""

    def __init__(self, message: str, *, offset: int = 0, ends: bool = False) -> None:
        self.ends = ends
        super().__init__(message, offset=offset)

    def with_result(self, names: Iterable[str]) -> "ShellProblem":
        """Return the problem with the names of what the command before it gives."""
        given = list(names)
        if not given:
            return self
        later = ", ".join(f"steps.ID.{name}" for name in given[:_MOST_NAMES])
        read = f"read {', '.join(given[:_MOST_NAMES])} in `expect` and `when`, and {later} in later steps"
        return ShellProblem(self.message.replace(_RESULTS, read), offset=self.offset, ends=self.ends)


Word = tuple[str | Placeholder, ...]
"""One argument: literal text and holes in turn."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokens:
    """A line's words; in each word a hole, or a value that is left open, is one marker character, which `open` turns back."""

    texts: tuple[str, ...]
    placeholders: tuple[Placeholder, ...]

    def open(self, text: str) -> Word:
        """Return a word, or a piece of one, with its holes."""
        pieces = [piece for piece in _MARKER.split(text) if piece] or [""]
        return tuple(self.placeholders[ord(piece) - _FIRST] if has_placeholder(piece) else piece for piece in pieces)


def split(line: str) -> Tokens:
    """Split a line into words. Raises CommandProblem for everything that only a shell could do."""
    if strange := _UNPRINTABLE.search(line):
        raise CommandProblem(
            f"the character {strange.group()!r} is not understood in a command", offset=strange.start()
        )
    text, placeholders = _cut_left_open(*_cut_holes(line.replace("\\\n", "  ").rstrip()))
    try:
        texts = shlex.split(text)
    except ValueError as error:
        raise CommandProblem(
            "a quotation mark is not closed: close it, or put a text with an apostrophe in double ones"
        ) from error
    if not texts:
        raise CommandProblem("the command is empty")
    if _ASSIGNMENT.match(texts[0]):
        raise CommandProblem(
            f"{texts[0]!r} sets an environment variable, no shell runs here: a service's `env` names the Secrets that its commands need"
        )
    return Tokens(texts=tuple(texts), placeholders=placeholders)


def has_placeholder(text: str) -> bool:
    """Return whether a word that `split` gave has a hole."""
    return bool(_MARKER.search(text))


def _cut_holes(line: str) -> tuple[str, tuple[Placeholder, ...]]:
    """Replace each hole by a marker; `$${` becomes a plain `${`."""
    try:
        found = placeholders_in(line)
    except ExpressionProblem as problem:
        raise CommandProblem(str(problem), offset=problem.offset) from problem
    if len(found) > _MOST_HOLES:
        raise CommandProblem(f"the command has {len(found)} values, more than {_MOST_HOLES}")
    pieces: list[str] = []
    position = 0
    for number, (start, end) in enumerate(found):
        pieces += [line[position:start], chr(_FIRST + number)]
        position = end
    text = "".join([*pieces, line[position:]]).replace("$${", "${")
    return text, tuple(Placeholder(source=line[start + 2 : end - 1], offset=start + 2) for start, end in found)


def _cut_left_open(text: str, placeholders: tuple[Placeholder, ...]) -> tuple[str, tuple[Placeholder, ...]]:
    """Replace what a page leaves open by markers, too. Raises ShellProblem for everything else that only a shell could do."""

    def offset(position: int) -> int:
        hidden = (len(placeholders[ord(marker) - _FIRST].source) + 2 for marker in _MARKER.findall(text[:position]))
        return position + sum(hidden)

    added = list(placeholders)
    pieces: list[str] = []
    position = 0
    try:
        for found, name in _left_open(text):
            value = LeftOpen(written=found[0], name=parameter_name(name), offset=offset(found.start()))
            pieces += [text[position : found.start()], chr(_FIRST + len(added))]
            added.append(Placeholder(source=f"params.{value.name}", offset=value.offset, open=value))
            position = found.end()
    except ShellProblem as problem:
        raise ShellProblem(problem.message, offset=offset(problem.offset), ends=problem.ends) from None
    if len(added) > 2 * _MOST_HOLES:
        raise CommandProblem(f"the command has {len(added)} values, more than {_MOST_HOLES}")
    return "".join([*pieces, text[position:]]), tuple(added)


def _left_open(text: str) -> Iterator[tuple[re.Match[str], str]]:
    """
    Yield what is left open outside quotes, and the variables inside double ones, with a name for each. Raises ShellProblem
    for what else a shell would act on: everything special outside quotes, and substitution inside double ones.
    """
    quote, position = "", 0
    while position < len(text):
        character = text[position]
        if character == "\\" and quote != "'":
            position += 1
        elif character == "$" and quote != "'" and (found := SHELL_VARIABLE.match(text, position)):
            yield found, found[1] or "value"
            position = found.end() - 1
        elif character == "<" and not quote and (found := IN_ANGLES.match(text, position)):
            yield found, found[1]
            position = found.end() - 1
        elif quote:
            if quote == '"':
                _refuse_substitution(text, position)
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        else:
            _refuse_substitution(text, position)
            _refuse_special(text, position)
        position += 1


def _refuse_special(text: str, position: int) -> None:
    character = text[position]
    if text.startswith("||", position):
        raise ShellProblem(_OTHERWISE, offset=position, ends=True)
    if character in _SHELL:
        acts = character == "|" and _ACTS.search(text, position)
        message = _THAT_ACTS if acts else _SHELL[character]
        raise ShellProblem(message, offset=position, ends=character in "|;&><\n")
    if character in "#~" and (position == 0 or text[position - 1].isspace()):
        raise ShellProblem(
            f"{character} at the start of a word is the shell's: quote it, or leave it out",
            offset=position,
            ends=character == "#",
        )


def _refuse_substitution(text: str, position: int) -> None:
    if text[position] == "`":
        raise ShellProblem(_SHELL["`"], offset=position)
    if text.startswith("$(", position):
        raise ShellProblem(_SUBSTITUTION, offset=position)
    if text.startswith(("$$", "${"), position):
        raise ShellProblem("$ is a shell's here, and no shell runs: write a value as ${…}", offset=position)
