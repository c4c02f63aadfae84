"""What an expression reads: its variables, and the dotted paths below them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from kintsugi.expressions.syntax import Call, Fold, Ident, Literal, Made, Node, Select

# What an index or an optional field is called in the tree.
_INDEX = frozenset({"_[_]", "_[?_]"})
_OPTIONAL_FIELD = "_?._"


def calls_in(node: Node) -> Iterator[Call]:
    """Yield every call of a tree."""
    if isinstance(node, Call):
        yield node
    for child in children(node):
        yield from calls_in(child)


def children(node: Node) -> tuple[Node, ...]:
    """Give the nodes directly below one."""
    match node:
        case Select():
            return (node.operand,)
        case Call():
            return node.arguments
        case Made():
            return node.parts
        case Fold():
            return (node.range, node.init, *node.parts)
        case Literal() | Ident():
            return ()


@dataclass
class Reads:
    """
    Collects what a checked tree reads.

    The path of a list stands for its items, too: `pods.exists(p, p.status.phase == "Failed")` reads `pods` and
    `pods.status.phase`. A path that is read whole stands for all below it.
    """

    variables: set[str] = field(default_factory=set)
    paths: set[str] = field(default_factory=set)

    def visit(self, node: Node, bound: Mapping[str, str]) -> None:
        """Collect from a tree; `bound` maps the names of macros to the paths that they go through ("" for none)."""
        path = self._path(node, bound)
        if path:
            self.paths.add(path)
        elif path is None and isinstance(node, Fold):
            self._visit_fold(node, bound)
        elif path is None:
            for child in children(node):
                self.visit(child, bound)

    def _visit_fold(self, fold: Fold, bound: Mapping[str, str]) -> None:
        self.visit(fold.range, bound)
        self.visit(fold.init, bound)
        inner = {
            **bound,
            fold.item: self._path(fold.range, bound) or "",
            fold.accumulator: self._path(fold.init, bound) or "",
        }
        for part in fold.parts:
            self.visit(part, inner)

    def _path(self, node: Node, bound: Mapping[str, str]) -> str | None:
        """Give the path that a node is, "" for one that starts in a macro's own value, None when it is no path."""
        match node:
            case Ident() if node.name in bound:
                return bound[node.name]
            case Ident():
                self.variables.add(node.name)
                return node.name
            case Select():
                return self._below(node.operand, node.field, bound)
            case Call(function=name, arguments=(operand, Literal(text=str(text)))) if name == _OPTIONAL_FIELD:
                return self._below(operand, text, bound)
            case Call(function=name, arguments=(operand, Literal(text=str(text)))) if name in _INDEX:
                return self._below(operand, text, bound)
            case Call(function=name, arguments=(operand, index)) if name in _INDEX:
                self.visit(index, bound)
                return self._path(operand, bound)
            case _:
                return None

    def _below(self, operand: Node, field_name: str, bound: Mapping[str, str]) -> str | None:
        above = self._path(operand, bound)
        return f"{above}.{field_name}" if above else above
