"""Results of a step's parts put together."""

from collections.abc import Mapping, Sequence

from kintsugi.model.records import StepState
from kintsugi.runner.ends import Ended


def together(ends: Sequence[Ended]) -> Ended:
    """Put the ends of a step's items together: met when all are, ran when any did; nothing wanted is left out."""
    wanted = [end for end in ends if not end.left_out]
    if not wanted:
        return Ended(ran=False, met=False, state=StepState.SKIPPED, error="not needed", left_out=True)
    return Ended(
        ran=any(end.ran for end in wanted),
        met=all(end.met for end in wanted),
        state=StepState.FAILED if any(end.state is StepState.FAILED for end in wanted) else StepState.DONE,
        own=merged([end.own for end in wanted]),
        error="; ".join(end.error for end in wanted if end.error),
    )


def merged(results: Sequence[Mapping[str, object]]) -> Mapping[str, object]:
    """Put results together: lists are joined, of anything else the last counts."""
    own: dict[str, object] = {}
    for result in results:
        for name, value in result.items():
            before = own.get(name)
            own[name] = [*before, *value] if isinstance(before, list) and isinstance(value, list) else value
    return own
