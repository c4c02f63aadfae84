"""A stream is cut into lines; events, poisoned objects and garbage are told apart; nothing else comes out, whatever goes in."""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.kube.watch_events import (
    Bookmark,
    EventReader,
    GarbledLineError,
    LineSplitter,
    Undecodable,
    WatchError,
    WatchEvent,
    WatchEventType,
)
from kubeobjects.kept import EndpointSlice, Metadata, Pod, StorageClass

READER = EventReader(Pod)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["metadata", "labels", "x"]), inner),
    max_leaves=8,
)


def line(kind: str, content: object) -> bytes:
    """Make a line of a watch."""
    return json.dumps({"type": kind, "object": content}).encode()


@given(st.sampled_from([*WatchEventType]), JSON)
def test_any_object_in_a_sound_line_is_an_event_or_set_aside(kind: WatchEventType, content: object) -> None:
    """B16: no object, however malformed, ends the stream."""
    read = READER.read(line(kind, content))
    if kind is WatchEventType.ERROR:
        assert isinstance(read, WatchError)
    elif kind is WatchEventType.BOOKMARK:
        assert isinstance(read, Bookmark)
    else:
        assert isinstance(read, WatchEvent | Undecodable)


@given(st.binary(max_size=60))
def test_bytes_that_are_no_line_of_a_watch_are_garbage(garbage: bytes) -> None:
    """B4: random bytes are never an event."""
    with pytest.raises(GarbledLineError):
        READER.read(garbage)


@given(st.integers(1, 200))
def test_a_line_that_is_cut_short_is_garbage(length: int) -> None:
    """B4: whatever is missing of it."""
    whole = line("ADDED", {"metadata": {"name": "web-1", "namespace": "production", "labels": {"app": "web"}}})
    with pytest.raises(GarbledLineError):
        READER.read(whole[: -min(length, len(whole))])


def test_a_poisoned_object_keeps_its_identity() -> None:
    """B16: it can be named in the log, and the watch goes on after its version."""
    ill = {"metadata": {"name": "a", "namespace": "n", "resourceVersion": "7", "labels": ["odd"]}}
    read = READER.read(line("DELETED", ill))
    assert isinstance(read, Undecodable)
    assert (read.identity.namespace, read.identity.name, read.identity.resource_version) == ("n", "a", "7")
    assert read.deleted
    assert "labels" in read.reason


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"metadata":' * 20_000, b'{"metadata": {"name": "\xff"}}'])
def test_a_malicious_object_is_set_aside(body: bytes) -> None:
    """B16: deep nesting and wrong UTF-8 raise other errors than a wrong type does."""
    assert isinstance(READER.read_object(msgspec.Raw(body)), Undecodable)


def test_an_error_is_a_failure_for_kinds_that_its_object_would_fit() -> None:
    """B1: a StorageClass has no required field that a `Status` lacks."""
    read = EventReader(StorageClass).read(line("ERROR", {"kind": "Status", "code": 410, "metadata": {}}))
    assert isinstance(read, WatchError)
    assert json.loads(read.status)["code"] == 410


def test_a_bookmark_of_a_real_server_is_no_poisoned_object() -> None:
    """B3: it carries an empty object whose required lists are null; only its version means anything."""
    metadata = {"resourceVersion": "1234", "creationTimestamp": None}
    pod = {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": {"containers": None}, "status": {}}
    assert READER.read(line("BOOKMARK", pod)) == Bookmark(version="1234")


def test_a_spec_is_read_once_and_one_that_differs_in_a_letter_is_another() -> None:
    """Nearly all events of a pod are about its status."""
    reader = EventReader(Pod)

    def read(image: str, phase: str) -> Pod:
        spec = {"nodeName": "node-1", "containers": [{"name": "web", "image": image}]}
        event = reader.read(line("MODIFIED", {"metadata": {"name": "a"}, "spec": spec, "status": {"phase": phase}}))
        assert isinstance(event, WatchEvent)
        return event.object

    before, after, other = read("web:1", "Pending"), read("web:1", "Running"), read("web:2", "Running")
    assert after.spec is before.spec
    assert (before.status.phase, after.status.phase) == ("Pending", "Running")
    assert other == Pod(metadata=Metadata(name="a"), spec=other.spec, status=after.status)
    assert [each.spec.containers[0].image for each in (before, other)] == ["web:1", "web:2"]


MANY: Sequence[tuple[str, Mapping[str, object]]] = (
    ("containers of nothing", {"spec": {"containers": [{}] * 2500}}),
    ("states", {"status": {"containerStatuses": [{"state": {"running": {}}, "lastState": {"waiting": {}}}] * 500}}),
    ("labels", {"metadata": {"labels": {f"l{number}": "" for number in range(2500)}}}),
    ("finalizers", {"metadata": {"finalizers": ["a/b"] * 2500}}),
    ("ports", {"spec": {"containers": [{"ports": [{"containerPort": 8080}] * 500}] * 5}}),
)


@pytest.mark.parametrize("kind", ["ADDED", "DELETED"])
@pytest.mark.parametrize("content", [each for _, each in MANY], ids=[name for name, _ in MANY])
def test_an_object_of_thousands_of_parts_is_set_aside(content: Mapping[str, Mapping[str, object]], kind: str) -> None:
    """B16: an expression would hold the loop for them, again and again."""
    identity = {"name": "a", "namespace": "n", "resourceVersion": "7"}
    large = {**content, "metadata": {**identity, **content.get("metadata", {})}}
    watched, listed = READER.read(line(kind, large)), READER.read_object(msgspec.Raw(json.dumps(large).encode()))
    for read in (watched, listed):
        assert isinstance(read, Undecodable)
        assert (read.identity.namespace, read.identity.name, read.identity.resource_version) == ("n", "a", "7")
        assert read.reason == "more than 2,000 entries: so large an object is not kept"
    assert watched.deleted is (kind == "DELETED")  # type: ignore[union-attr]


def test_an_object_that_is_large_by_fields_that_are_not_kept_is_kept() -> None:
    """Who changed what, environments and long texts cost nothing that is looked at."""
    fields: dict[str, object] = {f"f:{number}": {} for number in range(5000)}
    environment = [{"name": f"V{number}", "value": "x"} for number in range(5000)]
    body = {
        "metadata": {
            "name": "a",
            "namespace": "n",
            "managedFields": [{"fieldsV1": fields}],
            "labels": {"x": ",[{" * 9000},
        },
        "spec": {"containers": [{"name": "c", "env": environment}] * 100},
    }
    assert isinstance(READER.read(line("ADDED", body)), WatchEvent)


def test_a_slice_of_a_thousand_endpoints_is_kept() -> None:
    """A thousand are the most that the API server takes."""
    target = {"kind": "Pod", "namespace": "n", "name": "web-1", "uid": "u"}
    endpoint = {"addresses": ["10.0.0.1"], "conditions": {"ready": True}, "targetRef": target, "nodeName": "a"}
    body = {"metadata": {"name": "a", "namespace": "n"}, "endpoints": [endpoint] * 1000}
    assert isinstance(EventReader(EndpointSlice).read(line("ADDED", body)), WatchEvent)


LINE = st.binary(max_size=20).map(lambda line: line.replace(b"\n", b""))


@given(st.lists(LINE, max_size=8), LINE, st.lists(st.integers(0, 200), max_size=10))
def test_lines_do_not_depend_on_chunks(whole: list[bytes], rest: bytes, cuts: list[int]) -> None:
    """B4, B5: a line may come in many chunks, and a chunk may hold many lines."""
    stream = b"".join(line + b"\n" for line in whole) + rest
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    lines = LineSplitter()
    found = [line for start, end in pairwise(edges) for line in lines.feed(stream[start:end])]
    assert found == whole
    assert lines.torn is bool(rest)


def test_a_line_without_end_is_given_up() -> None:
    """B5: memory is bounded, too."""
    lines = LineSplitter(longest=100)
    lines.feed(b"x" * 100)
    with pytest.raises(GarbledLineError, match="longer than 100 bytes"):
        lines.feed(b"x")
