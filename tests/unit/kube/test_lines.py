"""A stream is cut into the same lines wherever its chunks end."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.kube.watch_events import GarbledLineError, LineSplitter

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
