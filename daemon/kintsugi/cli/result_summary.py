"""The result of a step in a line: its result names with short values; long ones are counted."""

from collections.abc import Mapping, Sequence

_MOST = 5
_LONGEST = 80
_TAGS = ("@time", "@seconds")
"""The keys of times and durations in a kept result."""


def found(result: Mapping[str, object], *, empty: bool) -> str:
    """Summarise a step's result; what says nothing in a line is left out, and without `empty` empty lists are, too."""
    parts = ((name, _short(value)) for name, value in result.items() if empty or value != [])
    return ", ".join(f"{name} {text}" for name, text in parts if text)


def _short(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return f"{value:g}" if isinstance(value, float) else str(value)
        case str():
            line = " ".join(value.split())
            return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
        case Mapping():
            return _name(value)
        case list() | tuple():
            return _listed(value)
        case _:
            return ""


def _listed(values: Sequence[object]) -> str:
    """Count what is in a list, and name a few where they have names."""
    names = [name for each in values if isinstance(each, Mapping | str) and (name := _short(each))]
    if not values:
        return "none"
    if len(names) < len(values):
        return str(len(values))
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return f"{len(values)} ({', '.join(names[:_MOST])}{more})"


def _name(value: Mapping[str, object]) -> str:
    """Name an object of the cluster, a time or a duration; "" for any other mapping."""
    metadata = value.get("metadata")
    if isinstance(metadata, Mapping):
        return str(metadata.get("name", ""))
    if len(value) == 1 and (tag := next(iter(value))) in _TAGS:
        return str(value[tag]) + ("s" if tag == "@seconds" else "")
    return str(value.get("name", ""))
