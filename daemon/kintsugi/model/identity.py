"""Names for records: short, unique, and sorted by the time they were given."""

import secrets
from datetime import datetime

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32, in lower case: no letter that is read as another."""


def new_id(prefix: str, now: datetime) -> str:
    """
    Return a new id such as `inc-1hkq3v9s2tk7xq0m4gz`: milliseconds since 1970, then 50 random bits.

    Ten thousand alerts may share a millisecond; with 25 bits two of them would share their id.
    """
    return f"{prefix}-{encode(int(now.timestamp() * 1000), 9)}{encode(secrets.randbits(50), 10)}"


def encode(number: int, width: int) -> str:
    """Write a number in base 32 with leading zeros."""
    digits = [ALPHABET[number >> 5 * place & 31] for place in reversed(range(width))]
    return "".join(digits)
