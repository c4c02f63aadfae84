"""
Expressions in the earlier spelling, also inside `${}`: finds today's word at the place of a mistake.

The compiler reports the place of an unknown function, name or field. Only the refused word is looked up: a column or a
key of the user's own with an earlier name is unchanged.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from kintsugi.catalog.spellings import FIELDS, FUNCTIONS
from kintsugi.commands import CommandProblem
from kintsugi.expressions import ExpressionProblem

T = TypeVar("T")

_NAME = re.compile(r"[A-Za-z_]\w*")
_CHAIN = re.compile(r"\s*\.\s*\??\s*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """A word of a text that is written differently now; `offset` is its position in the text as it is written."""

    offset: int
    old: str
    new: str


@dataclass(kw_only=True, slots=True)
class RespelledText:
    """A text and the edits that bring it into today's spelling."""

    written: str
    edits: list[Edit] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Return the text as it is written now."""
        text = self.written
        for edit in sorted(self.edits, key=lambda each: each.offset, reverse=True):
            text = text[: edit.offset] + edit.new + text[edit.offset + len(edit.old) :]
        return text

    def compile(self, compile_text: Callable[[str], T]) -> T:
        """Compile the text, and whenever that fails at an earlier name, the text with today's. Raises what it raises."""
        while True:
            try:
                return compile_text(self.text)
            except (CommandProblem, ExpressionProblem) as problem:
                edit = self._edit_at(problem.offset)
                if edit is None:
                    raise
                self.edits.append(edit)

    def written_offset(self, offset: int) -> int:
        """Return where in the text as it is written an offset in today's is."""
        for edit in sorted(self.edits, key=lambda each: each.offset):
            if edit.offset < offset:
                offset -= min(len(edit.new) - len(edit.old), offset - edit.offset)
        return offset

    def _edit_at(self, offset: int) -> Edit | None:
        found = _earlier_name(self.text, offset)
        if found is None:
            return None
        at, old, new = found
        return Edit(offset=self.written_offset(at), old=old, new=new)


def _earlier_name(text: str, offset: int) -> tuple[int, str, str] | None:
    """Find an earlier name in the chain of fields that begins at a place: where it is, and what it is now."""
    name, first = _NAME.match(text, offset), True
    while name is not None:
        called = text[name.end() :].lstrip().startswith("(")
        new = FUNCTIONS.get(name[0]) if called else FIELDS.get(name[0])
        if new is not None and (first or not called):
            return name.start(), name[0], new
        dot, first = _CHAIN.match(text, name.end()), False
        name = None if dot is None else _NAME.match(text, dot.end())
    return None
