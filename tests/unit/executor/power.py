"""Ends the process at a numbered moment: every commit and every effect is passed on both sides of it."""


class PowerCutError(BaseException):
    """The process is gone. It is not an Exception, as nothing may contain it."""


class Power:
    """Counts moments and fails at one of them; afterwards nothing works any more. `story` tells what happened."""

    def __init__(self, cut: int | None = None) -> None:
        self.cut = cut
        self.passed = 0
        self.story: list[str] = []

    def hit(self, what: str) -> None:
        """Pass one moment. Raises PowerCutError when it is the one, or when it came before."""
        self.passed += 1
        if self.cut is not None and self.passed >= self.cut:
            raise PowerCutError(f"at moment {self.cut}: {what}")

    def tell(self, what: str) -> None:
        """Note something that has happened."""
        self.story.append(what)
