"""
Splits a line of text into words: the first step of parsing a command, before any value is known.

A line is split as a POSIX shell would split it, but all that a shell would *do* (pipes, substitution, globs) is refused
with a suggestion. `${…}` holes are cut out first, so that a value can never become a further word or a flag.
"""

import re
import shlex
from dataclasses import dataclass

from kintsugi.commands.command_problem import CommandProblem
from kintsugi.expressions import ExpressionProblem, placeholders_in

_FIRST = 0xE000
"""The marker of the first hole: each hole is one character of Unicode's private use area, numbered from here."""
_MOST_HOLES = 64
_MARKER = re.compile("([\ue000-\ue0ff])")
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ue000-\uf8ff]")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")

_ONE_COMMAND = "a step runs one command: write the next one as a step of its own"
_RESULTS = "read what a command gives in `expect`, `when` and later steps, as in items, lines or steps.ID.item"
_SHELL = {
    "|": f"a pipe (|) is not understood, no shell runs here: {_RESULTS}",
    ";": f"a semicolon (;) is not understood: {_ONE_COMMAND}",
    "&": f"an ampersand (&) is not understood: {_ONE_COMMAND}, under `parallel:` if both may run at once; quote it in a URL",
    ">": "a redirect (>) is not understood: everything that a command gives is kept with the incident",
    "<": "a redirect (<) is not understood: give a command its values as arguments, with ${…}",
    "`": f"back-quotes (`) are not understood, no shell runs here: {_RESULTS}",
    "(": "a bracket outside quotes is not understood: quote a set selector, as in -l 'app in (web, api)'",
    ")": "a bracket outside quotes is not understood: quote a set selector, as in -l 'app in (web, api)'",
    "*": "a glob (*) is not understood: name the objects, or choose them with -l or with forEach",
    "\n": f"a line break is not understood: {_ONE_COMMAND}; a long command continues on the next line after a backslash",
}
_IN_ANGLES = re.compile(r"<([A-Za-z][\w .:/-]{0,60})>")
_SHELL_VARIABLE = re.compile(r"\$([A-Za-z_]\w*)")
_SUBSTITUTION = f"$( ) is not understood, no shell runs here: {_RESULTS}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Placeholder:
    """A `${…}` as written: the expression's text, and where it starts in the line."""

    source: str
    offset: int


Word = tuple[str | Placeholder, ...]
"""One argument: literal text and holes in turn."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokens:
    """A line's words; in each word a hole is one marker character, which `open` turns back."""

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
    text, placeholders = _cut_holes(line.replace("\\\n", "  ").rstrip())
    _refuse_shell(text, placeholders)
    try:
        texts = shlex.split(text)
    except ValueError as error:
        raise CommandProblem("a quotation mark is not closed") from error
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


def _refuse_shell(text: str, placeholders: tuple[Placeholder, ...]) -> None:
    try:
        _check_for_shell(text)
    except CommandProblem as problem:
        before = text[: problem.offset]
        hidden = sum(len(placeholders[ord(marker) - _FIRST].source) + 2 for marker in _MARKER.findall(before))
        raise CommandProblem(problem.message, offset=problem.offset + hidden) from None


def _check_for_shell(text: str) -> None:
    """Refuse what a shell would act on: everything special outside quotes, and substitution inside double ones."""
    quote, position = "", 0
    while position < len(text):
        character = text[position]
        if character == "\\" and quote != "'":
            position += 1
        elif quote:
            if quote == '"' and character in "`$":
                _refuse_substitution(text, position)
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character == "$":
            _refuse_substitution(text, position)
        elif character == "<" and (left_open := _IN_ANGLES.match(text, position)):
            raise CommandProblem(f"{left_open[0]} is a placeholder: {_as_parameter(left_open[1])}", offset=position)
        elif character in _SHELL:
            raise CommandProblem(_SHELL[character], offset=position)
        elif character in "#~" and (position == 0 or text[position - 1].isspace()):
            raise CommandProblem(
                f"{character} at the start of a word is the shell's: quote it, or leave it out", offset=position
            )
        position += 1


def _refuse_substitution(text: str, position: int) -> None:
    if text[position] == "`":
        raise CommandProblem(_SHELL["`"], offset=position)
    following = text[position + 1 : position + 2]
    if following == "(":
        raise CommandProblem(_SUBSTITUTION, offset=position)
    if following and (following.isalnum() or following in "_?@*#!${"):
        variable = _SHELL_VARIABLE.match(text, position)
        what = variable[0] if variable else "$"
        instead = _as_parameter(variable[1] if variable else "name")
        raise CommandProblem(
            f"{what} is a shell variable, and no shell runs here: {instead}, or read it from a step: ${{steps.ID.NAME}}",
            offset=position,
        )


def _as_parameter(name: str) -> str:
    """Return how a value that a page leaves open is written."""
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return f"write ${{params.{plain}}}, and declare {plain} under `parameters`"
