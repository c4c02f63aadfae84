"""The daemon beside the applications, as one runs it: least rights and more to read, what it asks for names, whom it trusts."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec

from kintsugi.model.records import Target
from kubediagnosis.causes import Diagnosis
from tests.faults import first_catalog
from tests.faults.stage import Stage
from tests.harness.audit import AuditLog
from tests.harness.daemon import DaemonProcess, rights
from tests.harness.waiting import wait_for

_EVERYTHING: Mapping[str, Any] = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}
_DURATIONS = 0.1
"""Half a minute between two checks is three seconds, and what is wrong for two minutes is so for twelve seconds."""
_DEADLINES = {"observe": 3.0, "auto": 6.0}
"""
A check may take eighteen seconds: the programs wait three for their upstreams, one after another, on a machine at rest. Who acts reads a
diagnosis for twelve, also where the machine is busy, and nobody waits for its answer on the spot.
"""
_TIME_FOR_PODS = {"KINTSUGI_WATCHDOG__VERIFY": "10m"}
"""Durations are scaled and a cluster is not: after a change its pods have so long, scaled, to be replaced."""


@dataclass(frozen=True, kw_only=True)
class Beside:
    """A daemon of one mode, which has the catalog of the shop as it is shipped, and that of parcels."""

    stage: Stage
    process: DaemonProcess
    account: str

    def diagnose(self, target: Target) -> Diagnosis:
        """Return what it says is wrong with a workload, on the spot."""
        status, answer = self.process.get(f"/api/v1/diagnosis/{target.namespace}/{target.kind}/{target.name}")
        assert status == 200, f"{status}: {answer}\n{self.process.tail()}"
        return msgspec.convert(answer, Diagnosis)

    def incidents(self) -> Sequence[Mapping[str, Any]]:
        """Return its incidents, the newest first."""
        found: Sequence[Mapping[str, Any]] = self._read("/api/v1/incidents?limit=50")["incidents"]
        return found

    def incident(self, incident: str) -> Mapping[str, Any]:
        """Return everything about one incident."""
        return self._read(f"/api/v1/incidents/{incident}")

    def has_observed(self, service: str) -> bool:
        """Return whether it has told a person of a service and meant to change nothing: rules that only observe do so."""
        signals = self._read("/api/v1/signals?verdict=observed&limit=200")["signals"]
        return any(
            each["verdict"]["rule"] in (f"{service}-warnings", f"{service}-workload-missing") for each in signals
        )

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let it change nothing while the applications are set up, or are put back as they were."""
        wish = {"scope": "global", "why": "the applications are set up", "freeze": True}
        status, pause = self.process.post("/api/v1/pauses", wish)
        assert status == HTTPStatus.CREATED, pause
        yield
        status, answer = self.process.delete(f"/api/v1/pauses/{pause['id']}")
        assert status == HTTPStatus.OK, answer

    def writes(self) -> AuditLog:
        """Return what it has changed in the cluster; its Events are none of it."""
        every = self.stage.cluster.audit().where(user=self.account).writes()
        return AuditLog(each for each in every if each.resource != "events" and each.subresource not in _READS)

    def executed(self) -> int:
        """Return how many commands it has run in pods: the check of the database is one."""
        return len(self.stage.cluster.audit().where(user=self.account, subresource="exec"))

    def _read(self, path: str) -> Mapping[str, Any]:
        """Ask until it answers: a ledger that is busy has another answer than none."""

        def answered() -> Mapping[str, Any]:
            status, answer = self.process.get(path)
            assert status == HTTPStatus.OK, answer
            found: Mapping[str, Any] = answer
            return found

        return wait_for(answered, within=30, every=0.5, describe=self.process.tail)


# Who runs a command in a pod, or asks what one may do, creates an object that is none.
_READS = frozenset({"exec"})


@contextmanager
def beside(stage: Stage, *, mode: str) -> Iterator[Beside]:
    """Have a daemon beside both applications, as long as they are there."""
    stage.application("parcels")
    account = f"kintsugi-{mode}"
    kubeconfig = stage.cluster.kubeconfig_for(account, [*rights(), _EVERYTHING], namespace="default", everywhere=True)
    folder = stage.folder / f"daemon-{mode}"
    catalog = first_catalog.write(kubeconfig, folder / "catalog")
    process = DaemonProcess(
        kubeconfig=kubeconfig,
        folder=folder,
        mode=mode,
        durations=_DURATIONS,
        deadlines=_DEADLINES[mode],
        # Whom it trusts is read once by a process, at its start.
        from_scratch=True,
        environment={
            "KINTSUGI_CATALOG__ADDITIONS": str(catalog),
            "SSL_CERT_FILE": str(_trusted(stage.folder)),
            **_TIME_FOR_PODS,
        },
    )
    try:
        process.start().wait_ready()
        yield Beside(stage=stage, process=process, account=account)
    finally:
        process.stop()


def _trusted(folder: Path) -> Path:
    """Return the certificate of the authority of parcels."""
    return folder / "parcels" / "ca.crt"
