"""The settings file: YAML in which every value has its place, so that an error can name it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

Dotted = tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SettingsFile:
    """
    The contents of a settings file: nested texts, the place of each, and the unreadable parts (place and message).
    """

    values: Mapping[str, object] = field(default_factory=dict)
    places: Mapping[Dotted, str] = field(default_factory=dict)
    problems: tuple[tuple[str, str], ...] = ()


class _Reader:
    """Walks the nodes of one document. Scalars stay texts: they are typed as those of the environment are."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.places: dict[Dotted, str] = {}
        self.problems: list[tuple[str, str]] = []
        self._seen: set[int] = set()

    def read(self, node: yaml.Node, path: Dotted) -> object:
        self.places.setdefault(path, self.place(node))
        if id(node) in self._seen:
            self.problems.append((self.place(node), "an alias (`*name`): write the value itself"))
            return None
        self._seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, str(number))) for number, item in enumerate(node.value)]
        plain = isinstance(node, yaml.ScalarNode) and node.style is None
        return None if plain and node.value in {"", "~", "null"} else node.value

    def _mapping(self, node: yaml.MappingNode, path: Dotted) -> dict[str, object]:
        values: dict[str, object] = {}
        for key, value in node.value:
            name = str(key.value)
            if name in values:
                self.problems.append((self.place(key), f"{name} is written twice"))
            self.places[(*path, name)] = self.place(key)
            values[name] = self.read(value, (*path, name))
        return values

    def place(self, node: yaml.Node) -> str:
        mark = node.start_mark
        return f"{self.name}:{mark.line + 1}:{mark.column + 1}"


def read_file(path: Path) -> SettingsFile:
    """Read a settings file. A file that is no YAML mapping gives a problem, not an exception."""
    name = str(path)
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        return SettingsFile(problems=((where, f"not YAML: {error.problem}"),))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        return SettingsFile(problems=((name, f"cannot be read: {error}"),))
    if node is None:
        return SettingsFile()
    reader = _Reader(name)
    values = reader.read(node, ())
    if not isinstance(values, dict):
        return SettingsFile(
            problems=((reader.place(node), "not a mapping: write `server:` and below it `port: 8080`"),)
        )
    return SettingsFile(values=values, places=reader.places, problems=tuple(reader.problems))
