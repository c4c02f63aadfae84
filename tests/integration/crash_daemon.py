"""The daemon of a story on the embedded cluster, in which it is killed and started again; and one that makes a mistake."""

from collections.abc import Collection
from pathlib import Path

from kintsugi.executor import EffectExecution, Executor
from kintsugi.model.change_limits import Budget
from kintsugi.model.records import StepRecord, StepState
from tests.harness import forked
from tests.harness.crash_points import EXECUTOR, KILL_AT, LOOPBACK
from tests.harness.daemon import DaemonProcess

forked.PRELOADED.append("tests.integration.crash_preloaded")


class EffectFirst(Executor):
    """The mistake that the enumeration must catch: the change is made first, and only then its intent is committed."""

    async def _save(
        self, course: EffectExecution, state: StepState, *, error: str = "", budget: Budget | None = None
    ) -> StepRecord:
        if state is StepState.INTENT:
            return course.record
        if state is StepState.DONE and course.record.state is StepState.INTENT is not course.committed_state:
            await super()._save(course, StepState.INTENT)
        return await super()._save(course, state, error=error, budget=budget)


EFFECT_FIRST = {EXECUTOR: f"{EffectFirst.__module__}:{EffectFirst.__name__}"}
"""The setting of a daemon that makes it."""


def crash_daemon(
    folder: Path, *, durations: float, kill_at: Collection[str] = (), catalog: Path | None = None, **settings: str
) -> DaemonProcess:
    """
    Describe a daemon that dies at the first of the points `kill_at` that it passes; `settings` are further ones.

    `folder` holds the ledger, the log, and the points that each of its lives has passed.
    """
    usual = {"KINTSUGI_WATCHDOG__GOOD_AFTER": "10m", LOOPBACK: "yes", KILL_AT: ",".join(kill_at)}
    return DaemonProcess(
        kubeconfig=folder / "kubeconfig",
        folder=folder,
        durations=durations,
        catalog=catalog,
        environment={**usual, **settings},
    )
