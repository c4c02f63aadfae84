"""What a step gets of a Secret: the row that the API server prints of it. The contents are never asked for."""

import re
from datetime import timedelta

import msgspec

from kintsugi.errors import KubeError
from kintsugi.kube.client import KubeClient
from kubeobjects.resources import SECRETS
from kubeobjects.unstructured import Unstructured

_AGE = re.compile(r"(?:(\d{1,4})y)?(?:(\d{1,6})d)?(?:(\d{1,3})h)?(?:(\d{1,3})m)?(?:(\d{1,3})s)?")
"""An age as the API server writes it, in one unit or two (apimachinery, *HumanDuration*)."""


class _Row(msgspec.Struct, frozen=True, rename="pascal"):
    """The columns of Secrets (kubernetes, `printers/internalversion`): `data` is how many keys there are."""

    name: str
    type: str
    data: int
    age: str


async def read_secrets(
    kube: KubeClient, namespace: str | None, *, name: str = "", labels: str = "", fields: str = ""
) -> list[Unstructured]:
    """Read the rows of the Secrets of a namespace, or of one, as `results.SECRET`. Raises KubeError where they are none."""
    assert namespace, "a row does not say its namespace"
    rows = await kube.table(SECRETS, namespace, name=name, labels=labels, fields=fields)
    try:
        return [_record(msgspec.convert(row, _Row), namespace) for row in rows]
    except msgspec.ValidationError as error:
        raise KubeError(f"the API server's table of Secrets has other columns: {error}") from error


def _record(row: _Row, namespace: str) -> Unstructured:
    record = {"kind": SECRETS.kind, "name": row.name, "namespace": namespace, "type": row.type, "keys": row.data}
    found = _AGE.fullmatch(row.age)
    if not found or not row.age:
        return record
    years, days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return {
        **record,
        "age": timedelta(days=365 * years + days, hours=hours, minutes=minutes, seconds=seconds),
    }


def described(secret: Unstructured) -> str:
    """Write a row for a person."""
    age = {"age": str(secret["age"])} if "age" in secret else {}
    return "\n".join(f"{f'{key.capitalize()}:':<11} {value}" for key, value in {**secret, **age}.items())
