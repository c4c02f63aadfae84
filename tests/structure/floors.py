"""The floors of the daemon: a folder or single module of its package stands one above the highest that it imports."""

import ast
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path


def floors(package: Path) -> Mapping[str, int]:
    """Return the floor of each room of a package, from 1; raise ValueError with the rooms of a circle of imports."""
    arrows = _arrows(package)
    found: dict[str, int] = {}

    def floor_of(room: str, above: tuple[str, ...]) -> int:
        if room in above:
            raise ValueError(" > ".join((*above[above.index(room) :], room)))
        if room not in found:
            found[room] = 1 + max((floor_of(each, (*above, room)) for each in sorted(arrows[room])), default=0)
        return found[room]

    return {room: floor_of(room, ()) for room in sorted(arrows)}


def _arrows(package: Path) -> Mapping[str, set[str]]:
    """Return which rooms each room imports."""
    arrows: dict[str, set[str]] = defaultdict(set)
    for path in package.rglob("*.py"):
        room = path.relative_to(package).with_suffix("").parts[0]
        if room == "__init__":
            continue
        named = {name for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) for name in _imported(node)}
        inside = {name.split(".")[1] for name in named if name.startswith(f"{package.name}.")}
        arrows[room] |= {each for each in inside - {room} if any(package.glob(f"{each}*"))}
    return arrows


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{each.name}" for each in node.names]
    return [each.name for each in node.names] if isinstance(node, ast.Import) else []
