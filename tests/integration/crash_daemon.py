"""
The daemon as a process that can be killed, on an embedded cluster: forked from a server that has imported everything.

Importing takes longer than living through a story does. The fork server imports once, starts no thread and no event loop,
and forks a child for every start; the child is `kintsugi run` in all but its command line.
"""

import asyncio
import os
from collections.abc import Collection
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Literal

from kintsugi.app import core, run
from kintsugi.app.serving import ListenAddresses
from kintsugi.executor import EffectExecution, Executor
from kintsugi.model.change_limits import Budget
from kintsugi.model.records import StepRecord, StepState
from kintsugi.settings import (
    CatalogSettings,
    GuardSettings,
    HealthSettings,
    KubeSettings,
    LedgerSettings,
    NotificationSettings,
    RestoreSettings,
    ServerSettings,
    Settings,
)
from kintsugi.telemetry import configure_logging
from tests.harness.crash_points import CrashPoints

FORKS = get_context("forkserver")
FORKS.set_forkserver_preload(["tests.integration.crash_preloaded"])


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


@dataclass(frozen=True, kw_only=True, slots=True)
class DaemonStart:
    """
    How one process is started, on a stage with so many `replicas` of the web service.

    It dies at the first of the points `kill_at` that it passes. `folder` holds the ledger, the log, and what the process tells; it outlives the process.
    """

    folder: Path
    durations: float
    mode: Literal["observe", "approve", "auto"] = "auto"
    replicas: int = 3
    number: int = 1
    kill_at: Collection[str] = ()
    catalog: Path | None = None
    executor: type[Executor] = Executor
    restore: RestoreSettings = field(default_factory=RestoreSettings)
    guards: GuardSettings = field(default_factory=GuardSettings)
    notifications: NotificationSettings = field(default_factory=NotificationSettings)
    encryption_key_file: Path | None = None

    @property
    def kubeconfig(self) -> Path:
        """Return the file that says how the cluster is reached."""
        return self.folder / "kubeconfig"

    @property
    def trace(self) -> Path:
        """Return the file of the crash points that this process passes."""
        return self.folder / f"points-{self.number}"

    @property
    def operators(self) -> Path:
        """Return the file with the tokens of the people who may approve."""
        return self.folder / "operators"

    @property
    def ready(self) -> Path:
        """Return the file with the address at which this process takes webhooks."""
        return self.folder / f"ready-{self.number}"

    @property
    def health(self) -> Path:
        """Return the file with the address at which this process says whether it is ready; it is there before `ready`."""
        return self.folder / f"health-{self.number}"


def url_of(folder: Path) -> str:
    """Return where the processes of one story keep their ledger."""
    return f"sqlite:///{folder / 'ledger.db'}"


def start(birth: DaemonStart) -> ForkServerProcess:
    """Start a process; its `sentinel` becomes readable when it has ended."""
    process = FORKS.Process(target=live, args=(birth,), name=f"daemon {birth.number}")
    process.start()
    return process


def live(birth: DaemonStart) -> None:
    """Be the daemon until the end."""
    log = os.open(birth.folder / "daemon.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    configure_logging(format="json")
    settings = Settings(
        mode=birth.mode,
        durations=birth.durations,
        catalog=CatalogSettings(directory=birth.catalog),
        kube=KubeSettings(kubeconfig=birth.kubeconfig),
        ledger=LedgerSettings(url=url_of(birth.folder), encryption_key_file=birth.encryption_key_file),
        restore=birth.restore,
        guards=birth.guards,
        notifications=birth.notifications,
        server=ServerSettings(
            host="127.0.0.1",
            port=0,
            insecure_no_token=True,
            operator_token_files=(birth.operators,) if birth.operators.exists() else (),
        ),
        health=HealthSettings(host="127.0.0.1", port=0),
    ).scaled()

    def tell(addresses: ListenAddresses) -> None:
        birth.health.write_text(addresses.health)
        birth.ready.write_text(addresses.server)

    core.Executor = birth.executor  # type: ignore[attr-defined]
    points = CrashPoints(frozenset(birth.kill_at), birth.trace)
    asyncio.run(run(settings, ready=tell, loopback=True, failpoints=points))
