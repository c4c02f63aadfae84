"""The tables that the API server makes of objects for `kubectl get`: columns of text and numbers (`meta.k8s.io/v1`, Table)."""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from kintsugi.kube.api_errors import UNREADABLE, Request, unanswered

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
"""The only form that is accepted: a server that does not make tables refuses, and sends no object (406)."""


class _Column(msgspec.Struct, frozen=True):
    name: str


class _Row(msgspec.Struct, frozen=True):
    """The cells of a row; an object beside them would not be decoded."""

    cells: tuple[str | int | float | bool | None, ...]


class _Table(msgspec.Struct, frozen=True, rename="camel"):
    kind: Literal["Table"]
    column_definitions: tuple[_Column, ...]
    rows: tuple[_Row, ...] | None = None


def rows_of(request: Request, body: bytes) -> Sequence[Mapping[str, object]]:
    """Return the cells of each row by the names of their columns. Raises KubeError where the answer is anything but a table."""
    try:
        table = msgspec.json.decode(body, type=_Table)
        names = [each.name for each in table.column_definitions]
        return [dict(zip(names, row.cells, strict=True)) for row in table.rows or ()]
    except (*UNREADABLE, ValueError) as error:
        raise unanswered(request, f"the answer is not a table: {error}") from error
