"""The problems of documents: those of all files together, each with its place and a suggestion."""

from collections.abc import Iterable
from dataclasses import dataclass

from kintsugi.errors import KintsugiError
from kintsugi.model.source_position import SourcePosition
from kubeobjects.spelling import nearest


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Problem:
    """
    One mistake.

    `path` is the way to it inside its document, as in `spec.steps[2].expect`, "" for the whole file; `suggestion` is a
    phrase that says what would be right, or empty.
    """

    file: str
    line: int = 1
    column: int = 1
    path: str = ""
    message: str
    suggestion: str = ""

    @property
    def place(self) -> SourcePosition:
        """Return its place."""
        return SourcePosition(file=self.file, line=self.line, column=self.column)

    def __str__(self) -> str:
        path = f" {self.path}:" if self.path else ""
        hint = f"; {self.suggestion}" if self.suggestion else ""
        return f"{self.place}:{path} {self.message}{hint}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Phrase the known word that a misspelt one means, "" when none is so near."""
    return f"did you mean {near!r}?" if (near := nearest(word, known)) else ""


class CatalogErrors(KintsugiError):
    """Rules, services or runbooks that cannot be used; `problems` are sorted by file and line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))
