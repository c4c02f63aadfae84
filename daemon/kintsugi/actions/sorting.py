"""`--sort-by`: objects in the order of one of their fields, as kubectl compares them."""

from collections.abc import Sequence
from functools import cmp_to_key

from kintsugi.actions.jsonpath import JsonPath
from kintsugi.errors import CommandError
from kubeobjects.quantities import parse_quantity
from kubeobjects.unstructured import Unstructured


def sorted_by(items: Sequence[Unstructured], field: str) -> list[Unstructured]:
    """
    Sort by a field; what lacks it comes first. Texts that are quantities are compared as numbers.

    Raises CommandError when no object has the field (kubectl's own sentence).
    """
    path = JsonPath.parse(field)
    keyed = [(next(iter(path.find(item)), None), item) for item in items]
    if items and all(key is None for key, _ in keyed):
        raise CommandError(f"couldn't find any field with path {field!r} in the list of objects")
    place = cmp_to_key(_compare)
    return [item for _, item in sorted(keyed, key=lambda each: place(each[0]))]


def _compare(one: object, other: object) -> int:
    if one is None or other is None:
        return (one is not None) - (other is not None)
    if isinstance(one, str) and isinstance(other, str):
        return _compare_texts(one, other)
    if isinstance(one, int | float) and isinstance(other, int | float):
        return (one > other) - (one < other)
    raise CommandError(f"cannot sort by a field that is a {type(one).__name__}")


def _compare_texts(one: str, other: str) -> int:
    amount, another = parse_quantity(one), parse_quantity(other)
    if amount is not None and another is not None:
        return (amount > another) - (amount < another)
    return (one > other) - (one < other)
