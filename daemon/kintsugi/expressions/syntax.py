"""
The syntax tree of an expression, read from CEL's serialised form.

The form is public (cel/expr/checked.proto, syntax.proto), yet no package ships its Python classes: the messages are
described here, with only the fields that are read. Their numbers are the published ones.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from google.protobuf.any_pb2 import Any as Wrapped
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

# message -> field -> (number, what it holds); `*` marks a list.
_SCHEMA: Mapping[str, Mapping[str, tuple[int, str]]] = {
    "Constant": {"text": (6, "string")},
    "Ident": {"name": (1, "string")},
    "Select": {"operand": (1, "Expr"), "field": (2, "string"), "test_only": (3, "bool")},
    "CallExpr": {"target": (1, "Expr"), "function": (2, "string"), "args": (3, "*Expr")},
    "Items": {"elements": (1, "*Expr")},
    "Entry": {"map_key": (3, "Expr"), "value": (4, "Expr")},
    "CreateStruct": {"name": (1, "string"), "entries": (2, "*Entry")},
    "Comprehension": {
        "item": (1, "string"),
        "range": (2, "Expr"),
        "accumulator": (3, "string"),
        "init": (4, "Expr"),
        "condition": (5, "Expr"),
        "step": (6, "Expr"),
        "result": (7, "Expr"),
    },
    "Expr": {
        "id": (2, "int"),
        "constant": (3, "Constant"),
        "ident": (4, "Ident"),
        "select": (5, "Select"),
        "call": (6, "CallExpr"),
        "items": (7, "Items"),
        "made": (8, "CreateStruct"),
        "fold": (9, "Comprehension"),
    },
    "Position": {"key": (1, "int"), "value": (2, "int")},
    "Source": {"positions": (4, "*Position")},
    "MapType": {},
    "Type": {"map": (7, "MapType"), "message": (9, "string")},
    "TypeOf": {"key": (1, "int"), "value": (2, "Type")},
    "CheckedExpr": {"types": (3, "*TypeOf"), "expr": (4, "Expr"), "source": (5, "Source")},
    "ParsedExpr": {"expr": (2, "Expr"), "source": (3, "Source")},
}
_HOLDS = {
    "bool": FieldDescriptorProto.TYPE_BOOL,
    "int": FieldDescriptorProto.TYPE_INT64,
    "string": FieldDescriptorProto.TYPE_STRING,
}

MAP = "map"
"""The owner of what is read as a field and is a key of a map."""

# What an index or an optional field is called in the tree.
_INDEX = frozenset({"_[_]", "_[?_]"})
_FIELD = frozenset({"_?._", *_INDEX})
_PASSES_ON = frozenset({"_?_:_", "_&&_", "_||_", "!_", "_+_", "size", "@not_strictly_false", *_INDEX})
"""Calls that do not look into the items of a list or the fields of a map that they are given."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A value written out; `text` is set when it is a string."""

    offset: int
    text: str | None


@dataclass(frozen=True, slots=True)
class Ident:
    """A name: of a variable (dots and all, once checked), or of what a macro goes through."""

    offset: int
    name: str


@dataclass(frozen=True, slots=True)
class Select:
    """
    A field of something; `test` when it is only asked for (`has`).

    `owner` is the type of the operand: the name of a message, MAP, or "" where the check leaves it open.
    """

    offset: int
    operand: "Node"
    field: str
    test: bool
    owner: str


@dataclass(frozen=True, slots=True)
class CallExpr:
    """A call of a function, a method (its target is the first argument) or an operator."""

    offset: int
    function: str
    arguments: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class CreateStruct:
    """A list, a map or (with a name) a message that is written out."""

    offset: int
    name: str
    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Comprehension:
    """A macro that goes through a list or map (`all`, `filter`, …) or binds a name (`cel.bind`: then `range` is empty)."""

    offset: int
    item: str
    range: "Node"
    accumulator: str
    init: "Node"
    parts: tuple["Node", ...]


Node = Literal | Ident | Select | CallExpr | CreateStruct | Comprehension


def read_tree(serialised: bytes) -> Node:
    """Read what `cel.Expression.serialize` gives, checked or only parsed. Offsets count characters of the source."""
    wrapped = Wrapped.FromString(serialised)
    document: Any = _message_class(wrapped.type_url.rpartition(".")[2]).FromString(wrapped.value)
    types = {entry.key: entry.value for entry in getattr(document, "types", ())}
    return _node(document.expr, {entry.key: entry.value for entry in document.source.positions}, types)


def _node(expr: Any, positions: Mapping[int, int], types: Mapping[int, Any]) -> Node:
    offset = positions.get(expr.id, 0)

    def inner(child: Any) -> Node:
        return _node(child, positions, types)

    match expr:
        case _ if expr.HasField("ident"):
            return Ident(offset, expr.ident.name)
        case _ if expr.HasField("select"):
            owner = _type_name(types.get(expr.select.operand.id))
            return Select(offset, inner(expr.select.operand), expr.select.field, expr.select.test_only, owner)
        case _ if expr.HasField("call"):
            target = [expr.call.target] if expr.call.HasField("target") else []
            return CallExpr(offset, expr.call.function, tuple(inner(part) for part in [*target, *expr.call.args]))
        case _ if expr.HasField("items"):
            return CreateStruct(offset, "", tuple(inner(part) for part in expr.items.elements))
        case _ if expr.HasField("made"):
            pairs = (part for entry in expr.made.entries for part in (entry.map_key, entry.value))
            return CreateStruct(offset, expr.made.name, tuple(inner(part) for part in pairs))
        case _ if expr.HasField("fold"):
            fold = expr.fold
            parts = (inner(fold.condition), inner(fold.step), inner(fold.result))
            return Comprehension(offset, fold.item, inner(fold.range), fold.accumulator, inner(fold.init), parts)
        case _:
            return Literal(offset, expr.constant.text if expr.constant.HasField("text") else None)


def _type_name(type_: Any) -> str:
    if type_ is None:
        return ""
    return MAP if type_.HasField("map") else type_.message


@cache
def _message_class(name: str) -> type[Message]:
    file = FileDescriptorProto(name="tree.proto", package="tree", syntax="proto2")
    for message, fields in _SCHEMA.items():
        described = file.message_type.add(name=message)
        for field_name, (number, holds) in fields.items():
            many = holds.startswith("*")
            label = FieldDescriptorProto.LABEL_REPEATED if many else FieldDescriptorProto.LABEL_OPTIONAL
            added = described.field.add(name=field_name, number=number, label=label)
            added.type = _HOLDS.get(holds, FieldDescriptorProto.TYPE_MESSAGE)
            if added.type == FieldDescriptorProto.TYPE_MESSAGE:
                added.type_name = f".tree.{holds.removeprefix('*')}"
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return GetMessageClass(pool.FindMessageTypeByName(f"tree.{name}"))


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
            case CallExpr(function=name, arguments=(_, Literal(text=str(text)))) if name in _FIELD:
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
    `pods.status.phase`. `whole` are those that are read with all below them: not a list that a macro only goes through.
    `compared` are the arguments of calls that may read all of them: `==`, `string`, `join`.
    """

    variables: set[str] = field(default_factory=set)
    paths: set[str] = field(default_factory=set)
    whole: set[str] = field(default_factory=set)
    compared: set[str] = field(default_factory=set)

    def visit(self, node: Node, bound: Mapping[str, str], *, compared: bool = False) -> None:
        """Collect from a tree; `bound` maps the names of macros to the paths that they go through ("" for none)."""
        path = self._path(node, bound)
        if path:
            self.paths.add(path)
            self.whole.add(path)
            if compared and not (isinstance(node, Select) and node.test):
                self.compared.add(path)
        elif path is None and isinstance(node, Comprehension):
            self._visit_fold(node, bound, compared=compared)
        elif path is None:
            compares = isinstance(node, CallExpr) and node.function not in _PASSES_ON
            for child in _children(node):
                self.visit(child, bound, compared=compared or compares)

    def _visit_fold(self, fold: Comprehension, bound: Mapping[str, str], *, compared: bool) -> None:
        gone_through = self._path(fold.range, bound)
        if gone_through:
            self.paths.add(gone_through)
        else:
            self.visit(fold.range, bound)
        self.visit(fold.init, bound, compared=compared)
        inner = {
            **bound,
            fold.item: gone_through or "",
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
            case CallExpr(function=name, arguments=(operand, Literal(text=str(text)))) if name in _FIELD:
                return self._below(operand, text, bound)
            case CallExpr(function=name, arguments=(operand, index)) if name in _INDEX:
                self.visit(index, bound)
                path = self._path(operand, bound)
                if path and not isinstance(index, Literal):  # any field, if it is no list
                    self.whole.add(path)
                return path
            case _:
                return None

    def _below(self, operand: Node, field_name: str, bound: Mapping[str, str]) -> str | None:
        above = self._path(operand, bound)
        return f"{above}.{field_name}" if above else above
