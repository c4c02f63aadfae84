"""
Kubernetes quantities: `250m`, `64Mi`, `2`.
"""

from decimal import Decimal
from typing import Final

SUFFIXES: Final = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
}


def quantity(text: str | int | None) -> Decimal:
    """Read a quantity in its base unit (cores, bytes); nothing is zero."""
    if text is None:
        return Decimal(0)
    written = str(text)
    number = written.rstrip("mkMGTKi")
    return Decimal(number) * SUFFIXES[written[len(number) :]]
