"""
The items of `for_each`: told apart by identity, so that a list that is made again shows the same ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """An object (by kind and uid), a service (by name) or a plain value; `value` is how it was when it was listed."""

    kind: str
    key: str
    value: object = field(compare=False)

    def __str__(self) -> str:
        return f"{self.kind} {self.key}" if self.kind else self.key


def identity(value: object) -> Item:
    """Say which item a value is."""
    match value:
        case {"apiVersion": str(version), "kind": str(kind), "metadata": {"uid": str(uid), "name": str(name)}}:
            short = {"apiVersion": version, "kind": kind, "metadata": {"uid": uid, "name": name}}
            return Item(kind=kind, key=f"{name} {uid}", value=short)
        case {"name": str(name), "priority": int()}:
            return Item(kind="service", key=name, value={"name": name})
        case _:
            return Item(kind="", key=repr(value), value=value)


def kept(items: Sequence[Item]) -> Mapping[str, object]:
    """Give the items as JSON, for the ledger."""
    return {"items": [{"kind": item.kind, "key": item.key, "value": item.value} for item in items]}


def restored(facts: Mapping[str, object]) -> Sequence[Item]:
    """Read back what `kept` gave."""
    listed = facts["items"]
    assert isinstance(listed, list), listed
    return [Item(kind=each["kind"], key=each["key"], value=each["value"]) for each in listed]
