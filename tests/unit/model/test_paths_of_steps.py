"""The path of what a run writes down: its text is what the ledger has kept, and comes back as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.model.step_path import RUN, Numbered, PathStep, StepPath

ids = st.from_regex(r"[a-z][a-z0-9_.-]{0,8}", fullmatch=True)
numbers = st.integers(min_value=0, max_value=3000)
numbered = st.builds(Numbered, number=numbers, retry=numbers)
steps = st.lists(st.builds(PathStep, id=ids, item=st.none() | numbers), max_size=4).map(tuple)
maybe = st.none() | numbered
paths = st.one_of(
    st.builds(StepPath, steps=steps),
    st.builds(StepPath, steps=steps, listing=st.just(value=True)),
    st.builds(StepPath, steps=steps, commands=st.just(value=True)),
    st.builds(StepPath, steps=steps, question=numbers),
    st.builds(StepPath, steps=steps, undo=maybe),
    st.builds(StepPath, steps=steps, change=numbered, completing=maybe, undo=maybe),
    st.builds(StepPath, note=ids, about=st.text(st.characters(exclude_characters="\n"), max_size=8)),
)
texts = st.text("ab/[]#~+?@r0123456789", max_size=12) | st.text()


@given(path=paths)
def test_a_path_comes_back_from_its_text(path: StepPath) -> None:
    assert StepPath.parse(str(path)) == path


@given(text=texts)
def test_any_text_comes_back_from_its_path(text: str) -> None:
    """What an earlier version, or somebody else, has written stays what it is."""
    assert str(StepPath.parse(text)) == text


@given(path=paths, step=ids, number=numbers)
def test_a_path_that_is_made_of_another_is_inside_it(path: StepPath, step: str, number: int) -> None:
    own = path.down(step)
    parts = (
        own.changing(number),
        own.at_item(number),
        own.items(),
        own.split_up(),
        own.at_item(number).changing(number),
    )
    for below in (*parts, own.down(step), own.changing(number).undone_by(number)):
        assert below.is_below(own), f"{below} is not inside {own}"
        assert below.step.is_at_or_below(own)
        assert not own.is_below(below)
    assert own.is_below(RUN)
    assert not own.is_below(own)


@pytest.mark.parametrize(
    ("below", "above"),
    [
        ("ab#0", "a"),
        ("ab/c", "a"),
        ("a", "a/b"),
        ("a/c", "a/b"),
        ("a[1]/b", "a[0]"),
        ("a[1]#0", "a[0]/b"),
        ("a?", "a"),
        ("a~0", "a"),
        ("a#0r1", "a#0"),
        ("@a", "a"),
    ],
)
def test_a_path_that_only_looks_alike_is_not_inside(below: str, above: str) -> None:
    assert not StepPath.parse(below).is_below(StepPath.parse(above))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (RUN, ""),
        (RUN.asking(0), "?"),
        (RUN.down("a").down("b"), "a/b"),
        (RUN.down("a").at_item(2).down("b"), "a[2]/b"),
        (RUN.down("a[2]").items(), "a[2][]"),
        (RUN.down("a").split_up(), "a#"),
        (RUN.down("a").changing(0).retried(0), "a#0"),
        (RUN.down("a").changing(0).retried(2), "a#0r2"),
        (RUN.down("a").changing(0).completed_by(1).retried(1), "a#0+1r1"),
        (RUN.down("a").changing(0).retried(1).undone_by(0).retried(2), "a#0r1~0r2"),
        (RUN.down("a").asking(1), "a?1"),
        (RUN.down("a").in_phase("rollback").asking(0), "rollback/a?"),
        (StepPath.noted("found"), "@found"),
        (StepPath.noted("child", "a/b[0]"), "@child/a/b[0]"),
    ],
)
def test_the_text_is_what_ledgers_hold(path: StepPath, text: str) -> None:
    assert str(path) == text
    assert StepPath.parse(text) == path
    assert bool(path) is (text != "")


def test_an_undo_names_what_it_takes_back_whichever_try_it_is() -> None:
    undo = StepPath.parse("a[1]/b#0r1~2r3")
    assert str(undo.undone) == "a[1]/b#0r1"
    assert str(undo.first_try) == "a[1]/b#0r1~2"
    assert str(undo.step) == "a[1]/b"
    assert StepPath.parse("a#0").undone == RUN


@pytest.mark.parametrize(
    ("text", "owner"),
    [("a[0]#1", "a"), ("a/b#0", "a/b"), ("a[2]/b[1]#0", "a[2]/b"), ("a[2]/b", ""), ("a", ""), ("a?", ""), ("?", "")],
)
def test_a_change_or_an_item_is_shown_below_its_step(text: str, owner: str) -> None:
    assert str(StepPath.parse(text).owner) == owner
