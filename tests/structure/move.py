"""
Moves modules to other names, with every import and mention of them: `python -m tests.structure.move OLD=NEW [OLD=NEW ...]`.

A name is dotted; a package takes all that is in it along. Afterwards it compares the syntax trees of before and after: but for
imports and for texts that mention a name, they are equal, or the move ends with the name of the file that is not.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = (*(each.parent for each in sorted(ROOT.glob("daemon/*/pyproject.toml"))), ROOT / "daemon", ROOT)
"""The folders on the path of imports, the inner ones first."""

MENTIONS = frozenset({"", ".cfg", ".json", ".md", ".py", ".sh", ".toml", ".yaml", ".yml"})


def main(rows: Mapping[str, str]) -> None:
    """Move the modules; exit with a message when a name is no module, or a tree differs."""
    moves = {module: name for old, new in rows.items() for module, name in _of_package(old, new)}
    tracked = [ROOT / each for each in _git("ls-files").splitlines()]
    files = [each for each in tracked if each.is_file() and each.suffix in MENTIONS]
    before = {path: path.read_text(encoding="utf-8") for path in files}
    paths = {_file(old): _place(old, new) for old, new in moves.items()}
    for old, new in paths.items():
        new.parent.mkdir(parents=True, exist_ok=True)
        _git("mv", str(old), str(new))
    mentions = _mentions(moves, paths)
    for path, text in before.items():
        moved = paths.get(path, path)
        changed = _imports(text, moves) if path.suffix == ".py" else text
        for pattern, put in mentions:
            changed = pattern.sub(put, changed)
        if changed != text:
            moved.write_text(changed, encoding="utf-8")
    _run("ruff", "check", "-q", "--select", "I", "--fix", ".")
    _run("ruff", "format", "-q", ".")
    for path, text in before.items():
        moved = paths.get(path, path)
        if path.suffix == ".py" and _shape(text, moves) != _shape(moved.read_text(encoding="utf-8"), moves):
            sys.exit(f"{moved.relative_to(ROOT)}: more than its imports differs")


def _of_package(old: str, new: str) -> Iterator[tuple[str, str]]:
    file = _file(old)
    if file.name != "__init__.py":
        yield old, new
        return
    for each in sorted(file.parent.rglob("*.py")):
        inner = each.relative_to(file.parent).with_suffix("").parts
        name = "".join(f".{part}" for part in inner if part != "__init__")
        yield old + name, new + name


def _file(module: str) -> Path:
    for folder in SOURCES:
        place = folder.joinpath(*module.split("."))
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if file.is_file():
                return file
    sys.exit(f"{module}: no module of this repository")


def _place(old: str, new: str) -> Path:
    """Return the file of a new name: below the folder that its package has, or is to have, for its own."""
    parts = new.split(".")
    own = ROOT / "daemon" / parts[0]
    folder = own if (own / "pyproject.toml").is_file() else ROOT if parts[0] == "tests" else ROOT / "daemon"
    place = folder.joinpath(*parts)
    return place / "__init__.py" if _file(old).name == "__init__.py" else place.with_suffix(".py")


def _mentions(moves: Mapping[str, str], paths: Mapping[Path, Path]) -> list[tuple[re.Pattern[str], str]]:
    """Return what is replaced in every text: dotted names, and paths below the root."""
    names = [(re.compile(rf"(?<![\w.]){re.escape(old)}(?!\w)"), new) for old, new in moves.items()]
    files = [
        (re.compile(rf"(?<!\w){re.escape(str(old.relative_to(ROOT)))}"), str(new.relative_to(ROOT)))
        for one, other in paths.items()
        for old, new in ((one.parent, other.parent) if one.name == "__init__.py" else (one, other),)
    ]
    return [*sorted(names, key=lambda each: -len(each[1])), *files]


def _imports(text: str, moves: Mapping[str, str]) -> str:
    """Rewrite `from PACKAGE import module`; what names a module by its whole name is a mention."""
    lines = text.splitlines(keepends=True)
    statements = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom) and not node.level]
    for node in sorted(statements, key=lambda each: -each.lineno):
        moved = [each for each in node.names if f"{node.module}.{each.name}" in moves]
        if not moved or node.end_lineno is None:
            continue
        indent = " " * node.col_offset
        stay = ", ".join(ast.unparse(each) for each in node.names if each not in moved)
        put = [f"{indent}from {node.module} import {stay}\n"] if stay else []
        for each in moved:
            package, _, name = moves[f"{node.module}.{each.name}"].rpartition(".")
            known = each.asname or each.name
            put.append(f"{indent}from {package} import {name}{'' if name == known else f' as {known}'}\n")
        lines[node.lineno - 1 : node.end_lineno] = put
    return "".join(lines)


def _shape(text: str, moves: Mapping[str, str]) -> str:
    """Return the syntax tree without imports and without the texts that may mention a module."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody", "handlers"):
            inside = getattr(node, field, None)
            if isinstance(inside, list):
                setattr(node, field, [each for each in inside if not isinstance(each, ast.Import | ast.ImportFrom)])
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = re.sub(r"[\w./]*\b(?:kintsugi|kube|tests)\w*[./][\w./]+", "NAME", node.value)
    return ast.dump(tree)


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout


def _run(*command: str) -> None:
    subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=True)


if __name__ == "__main__":
    main(dict(row.split("=") for row in sys.argv[1:]))
