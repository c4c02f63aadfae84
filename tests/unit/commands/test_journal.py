"""A journalled command that cannot be read is an error, never another command."""

import pytest

from kintsugi.commands import decode, encode, parse
from kintsugi.errors import CommandError


def test_a_person_can_read_what_is_journalled() -> None:
    assert encode(parse("kubectl delete pod web-1", namespace="production")) == {
        "command": "Delete",
        "objects": [{"resource": "pods", "name": "web-1"}],
        "namespace": "production",
    }


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"command": "Exec", "namespace": "x"},
        {"command": "Delete", "namespace": "x"},
        {"command": "Delete", "namespace": "x", "objects": [{"resource": "podz", "name": "a"}]},
        {"command": "Scale", "namespace": "x", "objects": [{"resource": "pods", "name": "a"}], "replicas": "many"},
    ],
)
def test_a_document_that_was_not_written_by_us_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(CommandError):
        decode(document)
