"""
Loads settings from flags, environment and file: the first value is used, and all mistakes are reported together.

`load` is called once by the command line; its result is passed on by arguments.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import is_pydantic_dataclass
from pydantic_core import ErrorDetails

from kintsugi.errors import UsageError
from kintsugi.settings.fields import PREFIX, camel, snake
from kintsugi.settings.settings import (
    Settings,
    check_deadlines,
    check_files,
    check_keys,
    check_slots,
    check_tokens,
    own_namespace,
)

Dotted = tuple[str, ...]

DEFAULT_FILE = Path("/etc/kintsugi/kintsugi.yaml")
NOT_SETTINGS = frozenset(
    {"KINTSUGI_SERVER", "KINTSUGI_TOKEN", "KINTSUGI_TOKEN_FILE", "KINTSUGI_CA_FILE", "KINTSUGI_CONFIG"}
)
"""Variables that the command line reads for itself, as a client of a running daemon."""

SHORT: Mapping[str, Dotted] = {"KINTSUGI_IMAGE": ("restore", "image")}
"""Variables that the daemon's own manifest sets, by what they say; the whole name of the setting counts more."""

_SERVICE_LINK = re.compile(r"KINTSUGI_((?!.*__).*_)?(SERVICE_(HOST|PORT\w*)|PORT(_\d+_(TCP|UDP|SCTP)\w*)?)")
"""The variables that Kubernetes puts into a pod's environment for every Service whose name begins with `kintsugi`."""

NO_SPELLINGS: Mapping[str, str] = {}

_ADAPTER: TypeAdapter[Settings] = TypeAdapter(Settings)


@dataclass(frozen=True, kw_only=True, slots=True)
class SettingsFile:
    """The contents of a settings file: nested texts, their places, and the unreadable parts (place and message)."""

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


def _read_file(path: Path) -> SettingsFile:
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


class SettingsError(UsageError):
    """Settings are wrong; `problems` holds a line each: where, what, and what would be right."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class _Gathered:
    """The values of all sources in one tree, and who said each."""

    def __init__(self, file: SettingsFile) -> None:
        self.tree: dict[str, object] = deepcopy(dict(file.values))
        self.places: dict[Dotted, str] = dict(file.places)

    def put(self, path: Dotted, value: object, place: str) -> None:
        """Put a value over what a weaker source said."""
        branch = self.tree
        for name in path[:-1]:
            below = branch.get(name)
            if not isinstance(below, dict):
                below = branch[name] = {}
            branch = below
        branch[path[-1]] = value
        self.places[path] = place

    def place(self, path: Dotted) -> str:
        """Return who said the value at a path, or the nearest thing above it, or else below it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        below = (place for given, place in self.places.items() if given[: len(path)] == path)
        return next(below, "settings")


def load(
    *,
    flags: Mapping[str, object] | None = None,
    spellings: Mapping[str, str] = NO_SPELLINGS,
    environ: Mapping[str, str],
    file: Path | None = None,
) -> Settings:
    """
    Read the settings: flag over `KINTSUGI_SECTION__KEY` over file over default.

    `flags` maps dotted names (`server.tlsKeyFile`) to values; None is a flag that was not given. `spellings` has their flags as they are
    typed, where those are not the dotted names. `file` None means
    `/etc/kintsugi/kintsugi.yaml` where there is one. Gives durations scaled already. Raises SettingsError with
    everything that is wrong.
    """
    content = _content(file)
    gathered = _Gathered(content)
    for name, path in SHORT.items():
        if name in environ:
            gathered.put(path, environ[name], f"environment: {name}")
    for name, text in environ.items():
        if _is_setting(name):
            path = tuple(camel(part) for part in name.removeprefix(PREFIX).lower().split("__"))
            gathered.put(path, text, f"environment: {name}")
    for name, value in (flags or {}).items():
        if value is not None:
            typed = spellings.get(name, f"--{re.sub('[._]', '-', snake(name))}")
            gathered.put(tuple(name.split(".")), value, f"flag: {typed}")
    problems = [f"{place}: {what}" for place, what in content.problems]
    try:
        settings = _ADAPTER.validate_python(gathered.tree, by_alias=True, by_name=False)
    except ValidationError as error:
        problems.extend(_lines(error, gathered))
        raise SettingsError(tuple(problems)) from error
    namespace, contradiction = own_namespace(settings, given=("namespace",) in gathered.places)
    settings = replace(settings, namespace=namespace)
    wrong = [("namespace", contradiction)] if contradiction else []
    wrong += [
        *check_deadlines(settings).items(),
        *check_slots(settings).items(),
        *check_files(settings).items(),
        *check_tokens(settings),
    ]
    wrong += check_keys(settings)
    problems.extend(f"{gathered.place(tuple(name.split('.')))}: {name}: {what}" for name, what in wrong)
    if problems:
        raise SettingsError(tuple(problems))
    return settings.scaled()


def known_settings(kind: type[Any] = Settings, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Go through every setting of a class: its dotted name and its documentation."""
    for name, each in kind.__pydantic_fields__.items():
        dotted, below = prefix + camel(name), each.annotation
        if isinstance(below, type) and is_pydantic_dataclass(below):
            yield from known_settings(below, f"{dotted}.")
        else:
            yield dotted, " ".join((each.description or "").split())


def _is_setting(variable: str) -> bool:
    """Distinguish our settings from other variables that begin like them."""
    if variable in NOT_SETTINGS or variable in SHORT or variable.startswith("KINTSUGI_TEST_"):
        return False
    return variable.startswith(PREFIX) and not _SERVICE_LINK.fullmatch(variable)


def _content(file: Path | None) -> SettingsFile:
    """Read the named file, or the default one where there is one."""
    if file is None:
        return _read_file(DEFAULT_FILE) if DEFAULT_FILE.exists() else SettingsFile()
    return _read_file(file)


def _lines(error: ValidationError, gathered: _Gathered) -> Iterator[str]:
    """Turn pydantic's findings into lines with place and suggestion."""
    for finding in error.errors(include_url=False):
        path = tuple(str(part) for part in finding["loc"])
        yield f"{gathered.place(path)}: {'.'.join(path)}: {_message(finding, path)}"


def _message(finding: ErrorDetails, path: Dotted) -> str:
    if finding["type"] == "unexpected_keyword_argument":
        return f"there is no such setting{_suggestion(path)}"
    if finding["type"] in {"dataclass_type", "dataclass_exact_type"}:
        return "a section: write its settings below it"
    return finding["msg"].removeprefix("Value error, ")


def _suggestion(path: Dotted) -> str:
    """Name the nearest setting that exists: in the same place first, then anywhere."""
    known = [name for name, _ in known_settings()]
    sections = {name.split(".")[0] for name in known}
    near = difflib.get_close_matches(".".join(path), [*known, *sections], n=1, cutoff=0.6)
    if not near:
        same_name = [name for name in known if name.split(".")[-1] == path[-1]]
        near = same_name[:1]
    return f"; did you mean {near[0]}?" if near else ""
