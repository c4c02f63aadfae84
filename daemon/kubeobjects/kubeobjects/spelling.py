"""The known word that a misspelt one means."""

from collections.abc import Iterable

_LONG, _SHORT = 6, 3
"""Letters from which a word may have two slips, and one: a shorter word is as near to many others."""

_OTHERS = frozenset({"curlie", "kubectx", "mongod", "mongos", "pgsql", "promtail", "routes", "vsc"})
"""Words of their own that are near to ours: tools, and types of other distributions and drivers."""


def nearest(word: str, known: Iterable[str]) -> str:
    """
    Return the known word within two slips of this one, within one of a short word; "" where none is so near. A word that
    begins otherwise is another one, as `vmstat` and `stat`: only its first two letters may be exchanged.
    """
    letters = sum(map(str.isalnum, word))
    if word.lower() in _OTHERS:
        return ""
    most = 2 if letters >= _LONG else 1 if letters >= _SHORT else -1
    near = (
        (_slips(word.lower(), each.lower()), each)
        for each in known
        if abs(len(word) - len(each)) <= most and _begin(word.lower(), each.lower())
    )
    slips, found = min(near, default=(most + 1, ""))
    return found if slips <= most else ""


def _begin(one: str, other: str) -> bool:
    return one[:1] == other[:1] or one[:2] == other[1::-1]


def _slips(one: str, other: str) -> int:
    """Count the letters that are missing, too many or wrong, and the neighbours that are exchanged (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for here, letter in enumerate(one, 1):
        earlier, before, row = before, row, [here]
        for there, its in enumerate(other, 1):
            slips = min(before[there] + 1, row[-1] + 1, before[there - 1] + (letter != its))
            if here > 1 and there > 1 and (letter, one[here - 2]) == (other[there - 2], its):
                slips = min(slips, earlier[there - 2] + 1)
            row.append(slips)
    return row[-1]
