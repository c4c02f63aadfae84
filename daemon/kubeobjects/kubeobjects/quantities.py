"""Kubernetes quantities: `250m`, `1Gi`, `129e6`, `123456n`, as exact numbers."""

import re
from decimal import ROUND_CEILING, Decimal

_QUANTITY = re.compile(r"([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)(?:[eE]([+-]?\d{1,3})|(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei))?")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


def parse_quantity(text: str) -> Decimal | None:
    """Read a quantity; None for any other text."""
    found = _QUANTITY.fullmatch(text)
    if found is None:
        return None
    number, exponent, suffix = found.groups()
    if suffix in _BINARY:
        return Decimal(number) * (1 << _BINARY[suffix])
    return Decimal(number).scaleb(_DECIMAL[suffix] if suffix else int(exponent or 0))


def quantity(value: str | int | None) -> Decimal:
    """
    Return a quantity of a manifest in its base unit (cores, bytes); None is zero. Raises ValueError for any other text.
    """
    if value is None:
        return Decimal(0)
    amount = parse_quantity(str(value))
    if amount is None:
        raise ValueError(f"{value!r} is not a quantity: write it as in 20Gi, 512Mi or 250m")
    return amount


def whole(amount: Decimal) -> int:
    """Round up to a whole number, as Kubernetes does with its quantities."""
    return int(amount.to_integral_value(rounding=ROUND_CEILING))
