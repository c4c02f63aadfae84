"""
A pod template without the values that may be secrets, and with them again.

Withheld are the literal values of variables, the fields that may hold a command or a header (`command`, `args`,
`lifecycle`, the handlers of probes), and values elsewhere that look like a credential. Null replaces them; nothing else
of a template is null.
"""

from collections.abc import Callable, Iterator, Mapping

from kintsugi.telemetry import SECRETS
from kubeobjects import unstructured
from kubeobjects.unstructured import Unstructured

WITHHELD = frozenset({"command", "args", "lifecycle", "exec", "httpHeaders"})
"""Fields whose values may always hold a secret."""

_ENV = "env"

_Rewrite = Callable[[str, object], object]


def without_values(template: Unstructured) -> tuple[dict[str, object], dict[str, object]]:
    """Return a template with null for what is withheld, and that by its field, written as in a diagnosis."""
    values: dict[str, object] = {}

    def withhold(field: str, value: object) -> None:
        values[field] = value

    return _rewritten(_without_nulls(template), "", withhold), values


def with_values(document: Unstructured, values: Mapping[str, object]) -> dict[str, object]:
    """Return a template with these values where they are withheld; where none is known null stays."""
    return _rewritten(document, "", lambda field, value: values.get(field) if value is None else value)


def withheld(document: Unstructured) -> tuple[str, ...]:
    """Return the fields of a template whose values are not in it."""
    found: list[str] = []

    def note(field: str, value: object) -> object:
        if value is None:
            found.append(field)
        return value

    _rewritten(document, "", note)
    return tuple(found)


def _rewritten(holder: Unstructured, field: str, rewrite: _Rewrite, *, of_variable: bool = False) -> dict[str, object]:
    """Copy a mapping with each withheld value as `rewrite` returns it, of the field and the value."""
    return {
        key: _value(holder, key, _below(field, key, of_variable=of_variable), rewrite, of_variable=of_variable)
        for key in holder
    }


def _value(holder: Unstructured, key: str, field: str, rewrite: _Rewrite, *, of_variable: bool) -> object:
    value = holder[key]
    if value is None or key in WITHHELD or (of_variable and key == "value") or _may_be_secret(holder, key):
        return rewrite(field, value)
    if isinstance(value, Mapping):
        return _rewritten(value, field, rewrite)
    if isinstance(value, list):
        names = list(_names(value))
        return [
            _rewritten(each, f"{field}[{name}]", rewrite, of_variable=key == _ENV)
            if isinstance(each, Mapping)
            else each
            for each, name in zip(value, names, strict=True)
        ]
    return value


def _below(field: str, key: str, *, of_variable: bool) -> str:
    """Return the path of a member; `spec` and `metadata` are left out, as is `value` of a variable."""
    if not field and key in ("spec", "metadata"):
        return ""
    if of_variable and key == "value":
        return field
    return f"{field}.{key}" if field else key


def _names(items: list[object]) -> Iterator[str]:
    """Yield by what each item of a list is known: its name, where all have one of their own, else its place."""
    names = [unstructured.nested_string(each, "name") for each in items]
    unique = all(names) and len(set(names)) == len(names)
    yield from names if unique else map(str, range(len(items)))


def _may_be_secret(holder: Unstructured, key: str) -> bool:
    """Return whether a text, or a list of texts, would be masked at its place."""
    value = holder[key]
    if isinstance(value, Mapping) or (isinstance(value, list) and any(isinstance(each, Mapping) for each in value)):
        return False
    beside = {other: each for other, each in holder.items() if isinstance(each, str)} | {key: value}
    masked = SECRETS.value(beside)
    return isinstance(masked, Mapping) and masked[key] != value


def _without_nulls(value: Unstructured) -> dict[str, object]:
    return {key: _bare(each) for key, each in value.items() if each is not None}


def _bare(value: object) -> object:
    if isinstance(value, Mapping):
        return _without_nulls(value)
    if isinstance(value, list):
        return [_bare(each) for each in value]
    return value
