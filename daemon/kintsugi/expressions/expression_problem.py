"""The problem of an expression as written: the one error that compiling raises."""

from kintsugi.errors import KintsugiError


class ExpressionProblem(KintsugiError):
    """
    An expression cannot be used as it is written.

    `offset` counts characters from the start of the text that was given (an expression or a template); `suggestion` is
    what would be right, as a name or a phrase, or empty.
    """

    def __init__(self, message: str, *, offset: int = 0, suggestion: str = "") -> None:
        super().__init__(f"{message}; {suggestion}" if suggestion else message)
        self.message = message
        self.offset = offset
        self.suggestion = suggestion

    def moved(self, by: int) -> "ExpressionProblem":
        """Return the same problem, seen from a text in which the expression starts at `by`."""
        return ExpressionProblem(self.message, offset=self.offset + by, suggestion=self.suggestion)
