"""Struct types are generated from classes, so that the fields are declared once."""

from typing import Any

import msgspec
import pytest

from kintsugi.expressions import ANY, DOUBLE, INT, STRING, TIMESTAMP, ListOf, MapOf, plain, struct_type
from tests.unit.expressions.examples import NOW, Piece, Shelf, Vase

PIECE = struct_type(Piece)


def test_a_struct_shows_its_json_names() -> None:
    fields = struct_type(Vase).fields
    assert fields["colour"] == STRING
    assert fields["weight"] == DOUBLE
    assert fields["marks"] == MapOf(STRING)
    assert fields["pieces"] == ListOf(PIECE)
    assert fields["lid"] == PIECE
    assert PIECE.fields == {"gluedBy": STRING, "width": INT, "crackedAt": TIMESTAMP}


def test_a_dataclass_shows_its_field_names() -> None:
    assert struct_type(Shelf).fields == {"shelf_name": STRING, "vases": ListOf(struct_type(Vase))}


def test_a_choice_of_types_is_left_to_the_values() -> None:
    class Loose(msgspec.Struct):
        port: int | str
        anything: Any = None

    assert struct_type(Loose).fields == {"port": ANY, "anything": ANY}


def test_other_classes_are_refused() -> None:
    with pytest.raises(TypeError):
        struct_type(int)


def test_a_plain_object_reads_back_as_itself() -> None:
    vase = Vase(name="ming", pieces=(Piece(width=2),))
    assert msgspec.convert(plain(vase), Vase) == vase
    assert NOW.tzinfo is not None
