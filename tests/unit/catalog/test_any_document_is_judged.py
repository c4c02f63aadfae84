"""Whatever a document holds, it is loaded or refused with places; nothing else ever comes out of loading (E26)."""

import copy
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kintsugi.catalog import CatalogErrors, Problem, load_sources, read_sources, shipped_paths
from kintsugi.catalog.library import Source
from kintsugi.catalog.source import documents

SHIPPED: list[Any] = [
    document.value for source in read_sources(shipped_paths()) for document in documents(source.content, source.name)[0]
]
WORDS = [
    "",
    "x",
    "service",
    "deployment/x",
    "${x}",
    "true",
    "steps.a.b",
    "kubectl get pods",
    "5m",
    "web-service",
    "[",
    "items",
]
odd: st.SearchStrategy[Any] = st.sampled_from([None, True, 0, -1, 1.5, [], {}, [{}], {"id": "a"}, *WORDS]) | st.text(
    max_size=8
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All paths into a document."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


@st.composite
def changed(draw: st.DrawFn) -> list[Any]:
    """The shipped documents with something put somewhere, or taken away, or called otherwise."""
    all_documents = copy.deepcopy(SHIPPED)
    for _ in range(draw(st.integers(1, 3))):
        document = draw(st.sampled_from(all_documents))
        *way, last = draw(st.sampled_from(places(document)))
        parent: Any = document
        for key in way:
            parent = parent[key]
        change = draw(st.sampled_from(["put", "remove", "rename"]))
        if change == "put":
            parent[last] = copy.deepcopy(draw(odd))
        elif change == "remove" or isinstance(parent, list):
            del parent[last]
        else:
            parent[draw(st.sampled_from(["x", f"{last}s", "for", "undo", "needs", "undoStep", "steps"]))] = parent.pop(
                last
            )
    return all_documents


def refused(content: bytes) -> tuple[Problem, ...]:
    """Load a file; give what is wrong with it."""
    try:
        load_sources([Source(name="f.yaml", content=content)])
    except CatalogErrors as errors:
        return errors.problems
    return ()


@settings(max_examples=60, deadline=None)
@given(changed())
@pytest.mark.long
def test_a_changed_document_is_loaded_or_refused(changed_documents: list[Any]) -> None:
    content = yaml.dump_all(changed_documents, Dumper=yaml.CSafeDumper, allow_unicode=True).encode()
    problems = refused(content)
    lines = content.count(b"\n") + 1
    assert all(1 <= problem.line <= lines and problem.message for problem in problems)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200) | st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: str | bytes) -> None:
    encoded = content.encode(errors="surrogatepass") if isinstance(content, str) else content
    found, problems = documents(encoded, "f.yaml")
    assert all(str(problem).startswith("f.yaml:") for problem in problems)
    assert all(document.file == "f.yaml" for document in found)
