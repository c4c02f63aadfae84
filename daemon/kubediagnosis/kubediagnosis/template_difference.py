"""
The difference of two pod templates, as text for a person: `image shop:2.1` of the one, `image shop:2.0` of the other.

Values of variables and annotations are never shown; neither is anything longer than one short value.
"""

from collections.abc import Mapping

from kubediagnosis.template_fields import changed_fields

MOST_FIELDS = 3
"""The most fields that are listed; of the others only the number is given."""

LONGEST = 160
"""The most characters of a value that is shown."""

_CONTAINERS = "containers["


def difference(one: Mapping[str, str], other: Mapping[str, str]) -> tuple[str, str]:
    """Return what the one template has, and what the other has instead; "" where there is nothing to say of one."""
    fields = changed_fields(other, one)
    parts = [_of_field(field, one, other) for field in fields[:MOST_FIELDS]]
    more = [f"{len(fields) - MOST_FIELDS} more fields changed"] if len(fields) > MOST_FIELDS else []
    return _joined([*(each for each, _ in parts), *more]), _joined([each for _, each in parts])


def _of_field(field: str, one: Mapping[str, str], other: Mapping[str, str]) -> tuple[str, str]:
    name = _short(field, {**one, **other})
    if not _is_in(field, other):
        return (f"{name} {one[field]}" if _is_shown(field, one) else f"{name} added"), f"no {name}"
    if not _is_in(field, one):
        return f"no {name}", f"{name} {other[field]}" if _is_shown(field, other) else ""
    if _is_shown(field, one) and _is_shown(field, other):
        return f"{name} {one[field]}", f"{name} {other[field]}"
    return f"{name} changed", ""


def _is_in(field: str, fields: Mapping[str, str]) -> bool:
    """Return whether a template has a field, or a member of a list that is named as a whole."""
    return field in fields or any(each.startswith(f"{field}.") for each in fields)


def _is_shown(field: str, fields: Mapping[str, str]) -> bool:
    value = fields.get(field, "")
    is_secret = ".env[" in field or field.startswith("annotations")
    return bool(value) and not is_secret and not value.startswith(("{", "[")) and len(value) <= LONGEST


def _short(field: str, fields: Mapping[str, str]) -> str:
    """Return a field without the container where there is only one."""
    containers = {each.partition("]")[0] for each in fields if each.startswith(_CONTAINERS)}
    head, _, rest = field.partition("].")
    return rest if rest and head in containers and len(containers) == 1 else field


def _joined(parts: list[str]) -> str:
    return ", ".join(each for each in parts if each)
