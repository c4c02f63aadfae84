"""What docs/glossary.md asks of names, docstrings and log events."""

import ast
import importlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain

import pytest

from kintsugi.catalog.schema import schema
from kintsugi.settings import known_settings
from tests.unit.project.tree import PACKAGES, ROOT, Module, modules, pages

NOT_FIRST = ("Give", "Gives", "Tell", "Tells", "Say", "Says")
NO_SUBJECTS = {
    *(
        "anybody",
        "anything",
        "everything",
        "it",
        "its",
        "nobody",
        "nothing",
        "of",
        "one",
        "somebody",
        "something",
        "that",
    ),
    *(
        "there",
        "these",
        "they",
        "this",
        "those",
        "what",
        "whatever",
        "where",
        "wherever",
        "who",
        "whoever",
        "whom",
        "whose",
    ),
}
"""Words that stand where a test's name could say what of the system it is about."""
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
LONGEST_EVENT = 100
THINGS = {
    *(
        "alert",
        "alertmanager",
        "approval",
        "cache",
        "catalog",
        "certificate",
        "change",
        "check",
        "clock",
        "cluster",
        "commit",
        "component",
    ),
    *(
        "condition",
        "controller",
        "deadline",
        "delivery",
        "diagnosis",
        "drill",
        "effect",
        "event",
        "expectation",
        "failure",
        "garbage",
    ),
    *(
        "incident",
        "job",
        "leadership",
        "ledger",
        "letter",
        "lock",
        "name",
        "notice",
        "object",
        "observer",
        "outbox",
        "outcome",
        "poll",
    ),
    *(
        "readiness",
        "request",
        "result",
        "revision",
        "row",
        "rule",
        "run",
        "secret",
        "signal",
        "slot",
        "task",
        "template",
        "tick",
        "token",
    ),
    *("verdict", "watch", "workload", "durations"),
}
"""What an event of the log is about."""
NO_MODULES = (".com", ".db", ".svc", ".yaml")
"""How hosts and files end, whose names begin like a module's."""


@pytest.fixture(scope="module")
def package() -> tuple[Module, ...]:
    """Return the modules of all packages."""
    return tuple(chain.from_iterable(map(modules, PACKAGES)))


def documented(module: Module) -> Iterator[tuple[int, str]]:
    """Go through the docstrings of a module: the line, and the text."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "lineno", 1), text


def events(module: Module) -> Iterator[tuple[int, ast.expr | None]]:
    """Go through what a module logs: the line, and what stands for the event."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
            logger = node.func.value
            if isinstance(logger, ast.Name) and logger.id in ("log", "_log", "LOG"):
                yield node.lineno, node.args[0] if node.args else None


def test_a_docstring_says_return_or_yield_and_not_give_tell_or_say() -> None:
    """PEP 257: a reader sees by the first word whether something is returned, yielded, or done."""
    both = (*modules(ROOT / "daemon"), *modules(ROOT / "tests"))
    found = [f"{each.name}:{line}" for each in both for line, text in documented(each) if text.split()[0] in NOT_FIRST]
    assert found == []


def test_a_log_event_is_a_constant_phrase_that_can_be_searched_for(package: tuple[Module, ...]) -> None:
    """What differs from line to line is a key; one phrase is one event, wherever it is searched for."""
    found = [(f"{each.name}:{line}", event) for each in package for line, event in events(each)]
    assert len(found) > 50
    wrong = [where for where, event in found if not isinstance(event, ast.Constant) or not is_phrase(event.value)]
    assert wrong == []


def test_a_log_event_names_the_thing_that_it_is_about(package: tuple[Module, ...]) -> None:
    """`ended` alone could be a run, a worker or the daemon."""
    found = [str(event.value) for each in package for _, event in events(each) if isinstance(event, ast.Constant)]
    assert [event for event in found if not split(event) & THINGS or len(event.split()) < 2] == []


def is_phrase(event: object) -> bool:
    """Return whether an event has no punctuation at its end, and is short enough for a line."""
    return isinstance(event, str) and re.search(r"[.!?]$", event) is None and 0 < len(event) <= LONGEST_EVENT


def test_no_two_events_differ_only_in_case_or_article(package: tuple[Module, ...]) -> None:
    """Whoever counts an event counts all of it."""
    said = {str(event.value) for each in package for _, event in events(each) if isinstance(event, ast.Constant)}
    plain = Counter(re.sub(r"^(a|an|the) ", "", event.lower()) for event in said)
    assert [event for event, times in plain.items() if times > 1] == []


def test_the_name_of_a_test_begins_with_a_thing_of_the_system() -> None:
    """The signal, the run, the pod: a list of failed tests is read without their code."""
    found = [
        f"{each.name}: {node.name}"
        for each in modules(ROOT / "tests")
        for node in ast.walk(each.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and node.name.split("_")[1] in NO_SUBJECTS
    ]
    assert found == []


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


@pytest.mark.parametrize(
    "folder", ["kintsugi", "kubesim/kubesim", "kubeobjects/kubeobjects", "kubediagnosis/kubediagnosis"]
)
def test_no_public_class_of_a_package_shares_its_name_with_another(folder: str) -> None:
    """A name is found at the first guess, and an import needs no alias."""
    found = Counter(
        node.name
        for each in modules(ROOT / "daemon" / folder)
        for node in each.tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, times in found.items() if times > 1] == []


@pytest.mark.parametrize(
    "folder", ["kintsugi", "kubesim/kubesim", "kubeobjects/kubeobjects", "kubediagnosis/kubediagnosis"]
)
def test_no_name_of_a_module_is_there_more_than_twice(folder: str) -> None:
    """Whoever looks for a file by its name has two to choose from at most."""
    found = Counter(each.path.name for each in modules(ROOT / "daemon" / folder) if each.path.name != "__init__.py")
    assert [name for name, times in found.items() if times > 2] == []


def test_each_module_that_a_docstring_or_a_page_names_is_there() -> None:
    """`kintsugi.…`, `kubediagnosis.…`, `kubeobjects.…` and `kubesim.…` lead somewhere."""
    texts = [(each.name, text) for each in modules(ROOT / "daemon") for _, text in documented(each)]
    texts += [(str(page.relative_to(ROOT)), page.read_text()) for page in pages() if page.name != "CHANGELOG.md"]
    found = [
        f"{where}: {name}"
        for where, text in texts
        for name in re.findall(
            r"\b(?:kintsugi|kubediagnosis|kubeobjects|kubesim)(?:\.[a-z_]+)+(?:\.[A-Z]\w+)?(?=[`\s,;:)]|\.\s|\.$)", text
        )
        if not name.endswith(NO_MODULES) and not leads_somewhere(name)
    ]
    assert found == []


def test_a_part_of_the_package_that_a_docstring_names_in_short_is_there() -> None:
    """`runner.journal` is `kintsugi.runner.journal`; it is told from a setting by that the package's folder is named."""
    folders = {each.name for each in (ROOT / "daemon" / "kintsugi").iterdir() if (each / "__init__.py").exists()}
    found = [
        f"{each.name}: {name}"
        for each in modules(ROOT / "daemon" / "kintsugi")
        for _, text in documented(each)
        for name in re.findall(r"`([a-z_]+\.[a-z_]+(?:\.\w+)*)`", text)
        if name.partition(".")[0] in folders
        and not name.endswith(NO_MODULES)
        and not leads_somewhere(f"kintsugi.{name}")
    ]
    settings = {name for name, _ in known_settings()}
    assert [each for each in found if each.partition(": ")[2] not in settings] == []


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
