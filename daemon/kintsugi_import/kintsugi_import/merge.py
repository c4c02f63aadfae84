"""Merges what a person has written into a runbook with what a changed page makes of it, line by line."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher


@dataclass(frozen=True, kw_only=True, slots=True)
class Merged:
    """The merged lines. `conflicts` are the places that both have changed: there the person's lines stay."""

    text: str
    conflicts: tuple[str, ...] = ()


def merge(base: str, own: str, new: str) -> Merged:
    """
    Merge two changes of one text: a person's (`own`), and that of the page (`new`).

    It is the algorithm of diff3: between lines that all three have, the part that differs from the base counts.
    """
    texts = [text.splitlines(keepends=True) for text in (base, own, new)]
    lines: list[str] = []
    conflicts: list[str] = []
    for of_base, of_own, of_new in _chunks(*texts):
        if of_own in (of_base, of_new):
            lines += of_new
        else:
            lines += of_own
            if of_new != of_base:
                conflicts.append("".join(of_new))
    return Merged(text="".join(lines), conflicts=tuple(conflicts))


def _chunks(
    base: Sequence[str], own: Sequence[str], new: Sequence[str]
) -> Iterator[tuple[Sequence[str], Sequence[str], Sequence[str]]]:
    """Yield the three texts part by part, each part up to a line that all three have, and this line."""
    in_own, in_new = _matches(base, own), _matches(base, new)
    at_base = at_own = at_new = 0
    for line in sorted(in_own.keys() & in_new.keys()):
        yield base[at_base:line], own[at_own : in_own[line]], new[at_new : in_new[line]]
        yield base[line : line + 1], own[in_own[line] : in_own[line] + 1], new[in_new[line] : in_new[line] + 1]
        at_base, at_own, at_new = line + 1, in_own[line] + 1, in_new[line] + 1
    yield base[at_base:], own[at_own:], new[at_new:]


def _matches(base: Sequence[str], other: Sequence[str]) -> dict[int, int]:
    blocks = SequenceMatcher(None, base, other, autojunk=False).get_matching_blocks()
    return {block.a + offset: block.b + offset for block in blocks for offset in range(block.size)}
