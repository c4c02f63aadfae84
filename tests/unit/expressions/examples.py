"""A small scope of its own, so that these tests speak of expressions and not of what rules see."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from kintsugi.expressions import (
    ANY,
    BOOL,
    DURATION,
    INT,
    TIMESTAMP,
    ListOf,
    Scope,
    struct_type,
)
from kubeobjects.kept import Pod

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Colour(StrEnum):
    """An enum of strings."""

    RED = "red"


class Piece(msgspec.Struct, frozen=True, rename="camel"):
    """A part of a vase."""

    glued_by: str = ""
    width: int = 0
    cracked_at: datetime | None = None


class Vase(msgspec.Struct, frozen=True, rename="camel"):
    """Something that breaks."""

    name: str = ""
    whole: bool = False
    weight: float = 1.5
    colour: Colour = Colour.RED
    marks: dict[str, str] = {}
    pieces: tuple[Piece, ...] = ()
    lid: Piece | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Shelf:
    """Where vases stand."""

    shelf_name: str
    vases: tuple[Vase, ...] = ()


VASE, POD = struct_type(Vase), struct_type(Pod)

SCOPE = Scope(
    names={
        "vase": VASE,
        "vases": ListOf(VASE),
        "shelf": struct_type(Shelf),
        "steps.find.vase": VASE,
        "steps.find.passed": BOOL,
        "vases.old_vase": VASE,
        "pod": POD,
        "pods": ListOf(POD),
        "limit": INT,
        "patience": DURATION,
        "now": TIMESTAMP,
        "value": ANY,
        "numbers": ListOf(INT),
    },
)
