"""Whatever comes in, subscribers hear one unbroken story, and it adds up to the store."""

from hypothesis import given
from hypothesis import strategies as st

from kintsugi.kube.object_cache import Change, ChangeKind, ObjectCache
from kubeobjects.kept import Metadata, Pod

NAMES = st.sampled_from(["a", "b"])
MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("put"), NAMES, st.integers(1, 3), st.integers(1, 3)),
        st.tuples(st.just("remove"), NAMES, st.just(0), st.just(0)),
        st.tuples(st.just("quarantine"), NAMES, st.just(0), st.just(0)),
    ),
    max_size=30,
)


def pod(name: str, uid: int, version: int) -> Pod:
    """Make a pod that has only an identity."""
    return Pod(metadata=Metadata(name=name, namespace="n", uid=f"uid-{uid}", resource_version=f"{uid}.{version}"))


@given(MOVES)
def test_the_changes_add_up_to_the_store(moves: list[tuple[str, str, int, int]]) -> None:
    """P6, B13, B16: no pod is added twice, none changes its uid, and nothing is deleted that was not there."""
    mirror: ObjectCache[Pod] = ObjectCache()
    told: dict[str, Pod] = {}

    def hear(change: Change[Pod]) -> None:
        name = change.subject.metadata.name
        known = told.get(name)
        assert (known is None) is (change.kind is ChangeKind.ADDED)
        if change.kind is ChangeKind.DELETED:
            del told[name]
            return
        assert change.new is not None
        assert change.kind is ChangeKind.ADDED or change.new.metadata.uid == told[name].metadata.uid
        told[name] = change.new

    mirror.subscribe(hear)
    for move, name, uid, version in moves:
        if move == "put":
            mirror.put(("n", name), pod(name, uid, version))
        elif move == "remove":
            mirror.remove(("n", name))
        else:
            mirror.mark_undecodable(("n", name), "unreadable")
    assert mirror.subscriber_failures == 0
    assert {key[1]: known for key, known in mirror.objects.items()} == told
    assert not mirror.objects.keys() & mirror.undecodable_objects.keys()


def test_the_same_state_twice_is_told_once() -> None:
    """A new list repeats what is known already."""
    heard: list[Change[Pod]] = []
    mirror: ObjectCache[Pod] = ObjectCache()
    mirror.subscribe(heard.append)
    for _ in range(3):
        mirror.put(("n", "a"), pod("a", 1, 1))
    assert len(heard) == 1


def test_a_deletion_carries_the_last_state_that_the_server_told() -> None:
    """The final state of a pod, with its exit codes, comes with its deletion."""
    heard: list[Change[Pod]] = []
    mirror: ObjectCache[Pod] = ObjectCache()
    mirror.put(("n", "a"), pod("a", 1, 1))
    mirror.subscribe(heard.append)
    mirror.remove(("n", "a"), pod("a", 1, 2))
    assert [(change.kind, change.old, change.new) for change in heard] == [(ChangeKind.DELETED, pod("a", 1, 2), None)]
