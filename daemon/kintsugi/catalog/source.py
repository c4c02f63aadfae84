"""
Reads bytes into plain values with their places: YAML 1.2, and only the harmless part of it.

PyYAML's C composer gives nodes; its YAML 1.1 reading of `on`, `no`, `010` and `1:30` is replaced by YAML 1.2's. Tags,
duplicate keys, keys that are not text, deep nesting and more than a few aliases are refused (E26).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from kintsugi.catalog.problems import Problem
from kintsugi.model.source_position import SourcePosition

MOST_BYTES = 1024 * 1024
MOST_ALIASES = 50
MOST_DEPTH = 32

Path = tuple[str | int, ...]
Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]

_NULL, _BOOL, _INT, _FLOAT, _STR = (f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str"))
_MAP, _SEQ = "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"
_CORE = (
    (_NULL, r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    (_BOOL, r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    (_INT, r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (_FLOAT, r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
)


class _Loader(yaml.CSafeLoader):
    """The C composer with YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  PyYAML's own declaration


for _tag, _pattern, _first in _CORE:
    _Loader.add_implicit_resolver(_tag, re.compile(rf"^(?:{_pattern})$"), _first)


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """
    The position of a value. `shift` is the offset of its text from that column; None when it is folded over lines.
    """

    place: SourcePosition
    shift: int | None = None

    def at(self, offset: int) -> SourcePosition:
        """Return the place of a character of the value's text, as exactly as it is known."""
        if self.shift is None:
            return self.place
        return SourcePosition(
            file=self.place.file, line=self.place.line, column=self.place.column + self.shift + offset
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """One YAML document as plain values; `keys` and `values` have the positions of all its parts."""

    file: str
    value: Plain
    keys: Mapping[Path, Span]
    values: Mapping[Path, Span]

    def span(self, path: Path, *, key: bool = False) -> Span:
        """Return where a path was written (its key, or its value), or else the nearest thing that holds it."""
        for length in range(len(path), -1, -1):
            nearest = path[:length]
            if key and nearest in self.keys:
                return self.keys[nearest]
            if nearest in self.values:
                return self.values[nearest]
        return Span(place=SourcePosition(file=self.file, line=1, column=1))

    def problem(
        self, path: Path, message: str, *, suggestion: str = "", key: bool = False, offset: int | None = None
    ) -> Problem:
        """Make a problem about the value at a path; `offset` counts characters of a text."""
        span = self.span(path, key=key)
        place = span.place if offset is None else span.at(offset)
        return Problem(
            file=place.file,
            line=place.line,
            column=place.column,
            path=path_text(path),
            message=message,
            suggestion=suggestion,
        )


def path_text(path: Path) -> str:
    """Write a path as people read it: `spec.steps[2].expect`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def documents(content: bytes, file: str) -> tuple[list[Document], list[Problem]]:
    """Read all documents of one file; empty ones are left out."""
    if len(content) > MOST_BYTES:
        return [], [_problem(file, None, f"the file has {len(content):,} bytes, more than {MOST_BYTES:,}")]
    found: list[Document] = []
    problems: list[Problem] = []
    try:
        for node in yaml.compose_all(content.decode(), Loader=_Loader):
            reading = _Reading(file)
            value = reading.read(node, (), 0)
            problems += reading.problems
            if value is not None:
                found.append(Document(file=file, value=value, keys=reading.keys, values=reading.values))
    except UnicodeDecodeError as error:
        problems.append(_problem(file, None, f"the file is not UTF-8 (byte {error.start})"))
    except _TooMuchError as error:
        problems.append(_problem(file, error.mark, str(error)))
    except yaml.MarkedYAMLError as error:
        problems.append(_syntax_problem(file, content, error))
    except yaml.YAMLError as error:
        problems.append(_problem(file, None, f"this is not YAML: {error}"))
    return found, problems


class _TooMuchError(Exception):
    """A limit is exceeded: the file is not read any further."""

    def __init__(self, message: str, mark: Any) -> None:
        super().__init__(message)
        self.mark = mark


@dataclass(slots=True)
class _Reading:
    """Turns the nodes of one document into plain values and notes their places."""

    file: str
    keys: dict[Path, Span] = field(default_factory=dict)
    values: dict[Path, Span] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    aliases: int = 0

    def read(self, node: yaml.Node, path: Path, depth: int) -> Plain:
        self._check_limits(node, depth)
        self.values[path] = _span(self.file, node)
        match node:
            case yaml.MappingNode(tag=tag) if tag == _MAP:
                return self._mapping(node, path, depth)
            case yaml.SequenceNode(tag=tag) if tag == _SEQ:
                return [self.read(item, (*path, index), depth + 1) for index, item in enumerate(node.value)]
            case yaml.ScalarNode() if node.tag in _CONVERT:
                return _CONVERT[node.tag](node.value)
            case _:
                self.problems.append(_problem(self.file, node.start_mark, _tag_message(node), path))
                return None

    def _mapping(self, node: yaml.MappingNode, path: Path, depth: int) -> Plain:
        mapping: dict[str, Plain] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != _STR:
                self.problems.append(_problem(self.file, key.start_mark, "a key must be text: put it in quotes", path))
                continue
            inner = (*path, key.value)
            if key.value in mapping:
                message = f"{key.value!r} is a duplicate key: the first is in line {self.keys[inner].place.line}"
                self.problems.append(_problem(self.file, key.start_mark, message, inner))
                continue
            self.keys[inner] = _span(self.file, key)
            mapping[key.value] = self.read(value, inner, depth + 1)
        return mapping

    def _check_limits(self, node: yaml.Node, depth: int) -> None:
        if depth > MOST_DEPTH:
            raise _TooMuchError(f"it is nested more than {MOST_DEPTH} levels deep", node.start_mark)
        if id(node) in self.seen:
            self.aliases += 1
            if self.aliases > MOST_ALIASES:
                raise _TooMuchError(f"it has more than {MOST_ALIASES} uses of aliases (*name)", node.start_mark)
        self.seen.add(id(node))


def _integer(text: str) -> int:
    return int(text, 0) if text.startswith(("0o", "0x")) else int(text)


_CONVERT: Mapping[str, Callable[[str], Plain]] = {
    _NULL: lambda _: None,
    _BOOL: lambda text: text.lower() == "true",
    _INT: _integer,
    _FLOAT: float,
    _STR: str,
}


def _span(file: str, node: yaml.Node) -> Span:
    place = _place(file, node.start_mark)
    if not isinstance(node, yaml.ScalarNode) or node.start_mark.line != node.end_mark.line:
        return Span(place=place)
    width = node.end_mark.column - node.start_mark.column
    quotes = 1 if node.style in ("'", '"') else 0
    return Span(place=place, shift=quotes if len(node.value) + 2 * quotes == width else None)


def _place(file: str, mark: Any) -> SourcePosition:
    return SourcePosition(file=file, line=mark.line + 1, column=mark.column + 1)


def _problem(file: str, mark: Any, message: str, path: Path = ()) -> Problem:
    place = _place(file, mark) if mark is not None else SourcePosition(file=file, line=1, column=1)
    return Problem(file=file, line=place.line, column=place.column, path=path_text(path), message=message)


def _tag_message(node: yaml.Node) -> str:
    if not node.tag.startswith("!"):
        return f"the YAML tag {node.tag} is not understood: leave it out"
    return (
        f"YAML reads {node.tag!r} as a tag, because it starts with an exclamation mark: "
        'put the whole expression in quotes, as in "!service.healthy", or write `unless:` instead of `when: !`'
    )


def _syntax_problem(file: str, content: bytes, error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    lines = content.decode().splitlines()
    line = lines[mark.line] if mark is not None and mark.line < len(lines) else ""
    sentences = [f"this is not YAML: {error.problem}", error.context or ""]
    if "mapping values are not allowed" in str(error.problem):
        sentences.append("a text that contains `: ` needs quotes")
    elif re.search(r":\s+[!&*@`%]", line):
        sentences.append(
            "a text that begins with one of ! & * @ ` % needs quotes (and for `when: !` there is `unless:`)"
        )
    return _problem(file, mark, ", ".join(sentence for sentence in sentences if sentence))
