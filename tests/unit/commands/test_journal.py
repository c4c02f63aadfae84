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


def test_a_label_that_an_earlier_version_journalled_as_a_mark_is_read() -> None:
    """A run that was under way at the upgrade goes on, and its undo is found."""
    command = parse("kubectl label pod web-1 team=shop", namespace="production")
    written = encode(command)
    assert written["command"] == "SetMetadata"
    assert decode({**written, "command": "Mark"}) == command
