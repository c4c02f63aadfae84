"""What docs/glossary.md asks of names, docstrings and log events."""

import ast
import importlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from kintsugi.catalog.schema import schema
from kintsugi.settings import known_settings
from tests.unit.project.tree import PACKAGE, PACKAGES, ROOT, Module, modules, pages

LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
LONGEST_EVENT = 100
NO_MODULES = (".com", ".db", ".svc", ".yaml")
"""How hosts and files end, whose names begin like a module's."""


def documented(module: Module) -> Iterator[str]:
    """Go through the docstrings of a module."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield text


def events(module: Module) -> Iterator[tuple[int, ast.expr | None]]:
    """Go through what a module logs: the line, and what stands for the event."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
            logger = node.func.value
            if isinstance(logger, ast.Name) and logger.id in ("log", "_log", "LOG"):
                yield node.lineno, node.args[0] if node.args else None


def test_a_log_event_is_a_constant_phrase_that_can_be_searched_for() -> None:
    """What differs from line to line is a key; one phrase is one event, wherever it is searched for."""
    package = chain.from_iterable(map(modules, PACKAGES))
    found = [(f"{each.name}:{line}", event) for each in package for line, event in events(each)]
    assert len(found) > 50
    wrong = [where for where, event in found if not isinstance(event, ast.Constant) or not is_phrase(event.value)]
    assert wrong == []


def is_phrase(event: object) -> bool:
    """Return whether an event has no punctuation at its end, and is short enough for a line."""
    return isinstance(event, str) and re.search(r"[.!?]$", event) is None and 0 < len(event) <= LONGEST_EVENT


def words_to_avoid() -> set[str]:
    """Return the words of the glossary's column *not this*."""
    rows = re.findall(r"^\| \*\*.*\| ([^|]*) \|$", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)
    return {word.strip() for row in rows for word in row.split(",") if word.strip()}


def names(module: Module) -> Iterator[str]:
    """Go through what a module names: itself, classes, functions, fields."""
    yield module.path.stem
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        if isinstance(node, ast.ClassDef):
            fields = (each.target for each in node.body if isinstance(each, ast.AnnAssign))
            yield from (each.id for each in fields if isinstance(each, ast.Name))


def split(name: str) -> set[str]:
    """Return the words of an identifier or a phrase in small letters, plurals and verbs in -s also without it."""
    found = {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}
    return found | {word.removesuffix("s") for word in found}


def test_no_name_is_a_word_that_the_glossary_has_another_for() -> None:
    """Prose is free; modules, classes, functions, fields and log events are not."""
    avoided = words_to_avoid()
    assert len(avoided) > 50
    every = modules(ROOT / "daemon")
    named = [(f"{each.name}: {name}", name) for each in every for name in names(each)]
    logged = [
        (f"{each.name}:{line}", event.value)
        for each in every
        for line, event in events(each)
        if isinstance(event, ast.Constant) and isinstance(event.value, str)
    ]
    assert [where for where, name in (*named, *logged) if split(name) & avoided] == []


def test_no_key_of_a_document_is_a_word_that_the_glossary_has_another_for() -> None:
    """What users write is held to it, too."""
    keys = set(re.findall(r'"(\w+)": ', json.dumps(schema())))
    assert "dependsOn" in keys
    assert [key for key in keys if split(key) & words_to_avoid()] == []


@pytest.mark.parametrize("folder", PACKAGES, ids=lambda folder: folder.name)
def test_no_public_class_of_a_package_shares_its_name_with_another(folder: Path) -> None:
    """A name is found at the first guess, and an import needs no alias."""
    found = Counter(
        node.name
        for each in modules(folder)
        for node in each.tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, times in found.items() if times > 1] == []


def test_each_module_that_a_docstring_or_a_page_names_is_there() -> None:
    """In full, `kintsugi.runner.journal`; and in short, `runner.journal`, in docstrings of the daemon."""
    texts = [(each.name, text) for each in modules(ROOT / "daemon") for text in documented(each)]
    texts += [(str(page.relative_to(ROOT)), page.read_text()) for page in pages() if page.name != "CHANGELOG.md"]
    whole = r"\b(?:kintsugi|kintsugi_demo|kintsugi_import|kintsugi_restore|kubediagnosis|kubeobjects|kubesim)(?:\.[a-z_]+)+(?:\.[A-Z]\w+)?(?=[`\s,;:)]|\.\s|\.$)"
    named = {name: where for where, text in texts for name in re.findall(whole, text)}
    folders = {each.parent.name for each in PACKAGE.glob("*/__init__.py")}
    settings = {name for name, _ in known_settings()}
    for each in modules(PACKAGE):
        for name in re.findall(r"`([a-z_]+\.[a-z_]+(?:\.\w+)*)`", "\n".join(documented(each))):
            if name.partition(".")[0] in folders and name not in settings:
                named[f"kintsugi.{name}"] = each.name
    found = {
        name: where for name, where in named.items() if not name.endswith(NO_MODULES) and not leads_somewhere(name)
    }
    assert found == {}


def leads_somewhere(name: str) -> bool:
    """Return whether a dotted name is a module, or something in one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False
