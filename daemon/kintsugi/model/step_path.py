"""
The path of a run's records: of a step, its changes and their undo, a question, a note.

The ledger keeps it as text; only this module knows the form of the text:

    a/b[2]          the third item of step b inside step a
    a/b[]           the items of step b, as they were when it began
    a/b#            the commands that step b was split into
    a/b#0           the first change of step b; #0r1 is its second try
    a/b#0+1         the second change that completes the first one; #0+1r1 is its second try
    a/b#0~1         the second command that takes the first change back; #0~1r1 is its second try
    a/b?            the answer to the first question of step b; ?1 is that to the second question
    @started        a note of the run itself; @child/a/b is one that is about something
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache

NOTES_LIKE = "@%"
"""The pattern of the notes' paths for SQL's LIKE."""

UNDOS_LIKE = "~%"
"""The pattern of a change's undos for SQL's LIKE, after the text of the change's path."""

_NUMBER = r"(?:0|[1-9]\d*)"
_RETRY = r"(?:r([1-9]\d*))?"
_STEP = rf"[^/\[\]#~+?@]+(?:\[{_NUMBER}\])?"
_PATH = re.compile(
    rf"((?:{_STEP}(?:/{_STEP})*)?)"
    rf"(?:(\[\])|(\?)([1-9]\d*)?|(#)|#({_NUMBER}){_RETRY}(?:\+({_NUMBER}){_RETRY})?(?:~({_NUMBER}){_RETRY})?|~({_NUMBER}){_RETRY})?",
    re.ASCII,
)
_NOTE = re.compile(r"@([^/]+)(?:/(.+))?", re.DOTALL)
_MOST_KEPT = 8192
"""Texts whose paths are remembered: a run has hundreds of steps, and each is asked about again and again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PathStep:
    """One step on the way down: its id, and which item of its list, None where it is done once."""

    id: str
    item: int | None = None

    def __str__(self) -> str:
        return self.id if self.item is None else f"{self.id}[{self.item}]"


@dataclass(frozen=True, kw_only=True, slots=True)
class Numbered:
    """One of several changes or commands, from 0, and which try of it: `retry` is 0 for the first."""

    number: int
    retry: int = 0

    def __str__(self) -> str:
        return f"{self.number}r{self.retry}" if self.retry else str(self.number)


@dataclass(frozen=True, kw_only=True, slots=True)
class StepPath:
    """
    The subject of a run's record.

    `steps` lead down to a step; the run itself has none, and its path is the only one that is false. At most one of
    `listing`, `commands`, `question`, and the changes is set: `change`, `completing` (a change that completes `change`)
    and `undo` (a command that undoes the change before it). A `note` has no steps; `about` is what it is about.
    """

    steps: tuple[PathStep, ...] = ()
    listing: bool = False
    commands: bool = False
    change: Numbered | None = None
    completing: Numbered | None = None
    undo: Numbered | None = None
    question: int | None = None
    note: str = ""
    about: str = ""

    @classmethod
    def parse(cls, text: str) -> "StepPath":
        """Read a path back from its text; any other text is taken for the id of one step."""
        return _parsed(text)

    @classmethod
    def noted(cls, name: str, about: str = "") -> "StepPath":
        """Return the path of a note of the run."""
        return cls(note=name, about=about)

    def __bool__(self) -> bool:
        return self != RUN

    def __str__(self) -> str:
        if self.note:
            return f"@{self.note}/{self.about}" if self.about else f"@{self.note}"
        text = "/".join(map(str, self.steps))
        if self.listing:
            return f"{text}[]"
        if self.commands:
            return f"{text}#"
        if self.question is not None:
            return f"{text}?{self.question or ''}"
        parts = (("#", self.change), ("+", self.completing), ("~", self.undo))
        return text + "".join(f"{sign}{part}" for sign, part in parts if part is not None)

    @property
    def step(self) -> "StepPath":
        """Return the path of the step that a change, an undo or a list belongs to, with its item."""
        return StepPath(steps=self.steps)

    @property
    def owner(self) -> "StepPath":
        """Return the path of the step in whose name a change or an item is shown; that of the run for a step itself."""
        if not self.steps or self.question is not None:
            return RUN
        last = replace(self.steps[-1], item=None)
        owner = StepPath(steps=(*self.steps[:-1], last))
        return RUN if owner == self else owner

    @property
    def first_try(self) -> "StepPath":
        """Return the path of the first try of an undo; any other path as it is."""
        return self if self.undo is None else replace(self, undo=Numbered(number=self.undo.number))

    @property
    def undone(self) -> "StepPath":
        """Return the path of the change that an undo takes back; that of the run for what is no undo."""
        return RUN if self.undo is None else replace(self, undo=None)

    @property
    def without_first_change(self) -> "StepPath":
        """Return the path of the step for the first try of its first change; any other path as it is."""
        return self.step if self == self.step.changing(0) else self

    @property
    def is_listing(self) -> bool:
        """Return whether it is about what a step is made of: its items, or the commands that it was split into."""
        return self.listing or self.commands

    @property
    def is_of_change(self) -> bool:
        """Return whether it is about changes: the commands of a step, one of its changes, or the undo of one."""
        return self.commands or self.change is not None

    def is_below(self, above: "StepPath") -> bool:
        """Return whether it is inside another; everything is inside the run itself."""
        depth, own = len(above.steps), self.steps
        if not depth:
            return above == RUN
        if len(own) < depth:
            return False
        mine, last = own[depth - 1], above.steps[-1]
        if mine.id != last.id or (mine.item != last.item and last.item is not None):
            return False  # first, since it is so of nearly all: a run asks this of each of its steps
        if own[: depth - 1] != above.steps[:-1] or above != above.step:
            return False
        return len(own) > depth or mine.item != last.item or self.is_listing or self.change is not None

    def is_at_or_below(self, above: "StepPath") -> bool:
        """Return whether it is another, or inside it."""
        return self == above or self.is_below(above)

    def down(self, step: str) -> "StepPath":
        """Return the path of a step inside this one, by its id; that of an item has its number."""
        return StepPath(steps=self.steps + _parsed(step).steps)

    def in_phase(self, phase: str) -> "StepPath":
        """Return the path of a question that is asked in a phase of its own."""
        return StepPath(steps=(PathStep(id=phase), *self.steps))

    def at_item(self, number: int) -> "StepPath":
        """Return the path of one item of a step's list."""
        return replace(self, steps=(*self.steps[:-1], replace(self.steps[-1], item=number)))

    def items(self) -> "StepPath":
        """Return the path of the list of a step's items."""
        return replace(self, listing=True)

    def split_up(self) -> "StepPath":
        """Return the path of the commands that a step is split into."""
        return replace(self, commands=True)

    def changing(self, number: int) -> "StepPath":
        """Return the path of one change of a step."""
        return replace(self, change=Numbered(number=number))

    def completed_by(self, number: int) -> "StepPath":
        """Return the path of a change that completes this one."""
        return replace(self, completing=Numbered(number=number))

    def undone_by(self, number: int) -> "StepPath":
        """Return the path of a command that takes this change back."""
        return replace(self, undo=Numbered(number=number))

    def asking(self, number: int) -> "StepPath":
        """Return the path of the answer to one of a step's questions."""
        return replace(self, question=number)

    def retried(self, retry: int) -> "StepPath":
        """Return the path of another try of the same change or undo; `retry` is 0 for the first."""
        if self.undo is not None:
            return replace(self, undo=replace(self.undo, retry=retry))
        if self.completing is not None:
            return replace(self, completing=replace(self.completing, retry=retry))
        assert self.change is not None, f"{self} is neither a change nor an undo"
        return replace(self, change=replace(self.change, retry=retry))


RUN = StepPath()
"""The path of the run itself, and of a question about the whole of it: its text is empty."""


@lru_cache(maxsize=_MOST_KEPT)
def _parsed(text: str) -> StepPath:
    if (note := _NOTE.fullmatch(text)) is not None:
        return StepPath(note=note[1], about=note[2] or "")
    found = _PATH.fullmatch(text)
    if found is None:
        return StepPath(steps=(PathStep(id=text),))
    above, listing, asks, asked, commands, *numbers = found.groups()
    change, completing, undo, alone = (_numbered(*numbers[at : at + 2]) for at in range(0, len(numbers), 2))
    return StepPath(
        steps=tuple(map(_step, above.split("/"))) if above else (),
        listing=listing is not None,
        commands=commands is not None,
        change=change,
        completing=completing,
        undo=undo or alone,
        question=int(asked or 0) if asks is not None else None,
    )


@lru_cache(maxsize=_MOST_KEPT)
def _step(text: str) -> PathStep:
    step, bracket, item = text.partition("[")
    return PathStep(id=step, item=int(item[:-1]) if bracket else None)


def _numbered(number: str | None, retry: str | None) -> Numbered | None:
    return None if number is None else Numbered(number=int(number), retry=int(retry or 0))
