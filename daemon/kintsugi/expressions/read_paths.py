"""The reads of an expression: its variables, and the dotted paths below them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from kintsugi.expressions.syntax import CallExpr, Comprehension, CreateStruct, Ident, Literal, Node, Select

# What an index or an optional field is called in the tree.
_INDEX = frozenset({"_[_]", "_[?_]"})
_OPTIONAL_FIELD = "_?._"
_PASSES_ON = frozenset({"_?_:_", "_&&_", "_||_", "!_", "_+_", "size", "@not_strictly_false", *_INDEX})
"""Calls that do not look into the items of a list or the fields of a map that they are given."""


def every(node: Node) -> Iterator[Node]:
    """Yield every node of a tree."""
    yield node
    for child in _children(node):
        yield from every(child)


def fields_in(tree: Node) -> Iterator[tuple[int, str, str]]:
    """Yield the place, the name and the owner's type of each field that a tree reads; the type is "" where it is open."""
    for node in every(tree):
        match node:
            case Select():
                yield node.offset, node.field, node.owner
            case CallExpr(function=name, arguments=(_, Literal(text=str(text)))) if name in {_OPTIONAL_FIELD, *_INDEX}:
                yield node.offset, text, ""


def _children(node: Node) -> tuple[Node, ...]:
    """Return the nodes directly below one."""
    match node:
        case Select():
            return (node.operand,)
        case CallExpr():
            return node.arguments
        case CreateStruct():
            return node.parts
        case Comprehension():
            return (node.range, node.init, *node.parts)
        case Literal() | Ident():
            return ()


@dataclass
class Reads:
    """
    Collects the reads of a checked tree.

    The path of a list is also that of its items: `pods.exists(p, p.status.phase == "Failed")` reads `pods` and
    `pods.status.phase`. A path that is read whole includes all below it. `compared` are the arguments of calls that may
    read all of them: `==`, `string`, `join`.
    """

    variables: set[str] = field(default_factory=set)
    paths: set[str] = field(default_factory=set)
    compared: set[str] = field(default_factory=set)

    def visit(self, node: Node, bound: Mapping[str, str], *, compared: bool = False) -> None:
        """Collect from a tree; `bound` maps the names of macros to the paths that they go through ("" for none)."""
        path = self._path(node, bound)
        if path:
            self.paths.add(path)
            if compared and not (isinstance(node, Select) and node.test):
                self.compared.add(path)
        elif path is None and isinstance(node, Comprehension):
            self._visit_fold(node, bound, compared=compared)
        elif path is None:
            compares = isinstance(node, CallExpr) and node.function not in _PASSES_ON
            for child in _children(node):
                self.visit(child, bound, compared=compared or compares)

    def _visit_fold(self, fold: Comprehension, bound: Mapping[str, str], *, compared: bool) -> None:
        self.visit(fold.range, bound)
        self.visit(fold.init, bound, compared=compared)
        inner = {
            **bound,
            fold.item: self._path(fold.range, bound) or "",
            fold.accumulator: self._path(fold.init, bound) or "",
        }
        for part in fold.parts:
            self.visit(part, inner, compared=compared)

    def _path(self, node: Node, bound: Mapping[str, str]) -> str | None:
        """Return the path that a node is, "" for one that starts in a macro's own value, None when it is no path."""
        match node:
            case Ident() if node.name in bound:
                return bound[node.name]
            case Ident():
                self.variables.add(node.name)
                return node.name
            case Select():
                return self._below(node.operand, node.field, bound)
            case CallExpr(function=name, arguments=(operand, Literal(text=str(text)))) if name == _OPTIONAL_FIELD:
                return self._below(operand, text, bound)
            case CallExpr(function=name, arguments=(operand, Literal(text=str(text)))) if name in _INDEX:
                return self._below(operand, text, bound)
            case CallExpr(function=name, arguments=(operand, index)) if name in _INDEX:
                self.visit(index, bound)
                return self._path(operand, bound)
            case _:
                return None

    def _below(self, operand: Node, field_name: str, bound: Mapping[str, str]) -> str | None:
        above = self._path(operand, bound)
        return f"{above}.{field_name}" if above else above
