"""
The columns of a run that are written besides its state: the step at which it stopped, the person who requested a
rollback, the seen workload.
"""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from kintsugi.model.outages import Superseded


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenWorkload:
    """
    A workload as a run has seen it. `template` is "" where the watch did not catch up with the API server in time.

    `uid` is "" for a workload that does not exist. `generation` counts the changes of its spec. `healthy` is the service's health,
    None where it is unknown.
    """

    template: str
    revision: int
    desired: int
    ready: int
    uid: str = ""
    generation: int = 0
    healthy: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunUpdate:
    """The fields of a `RunRecord` that are written besides its state; a field that is None stays as it is."""

    steps_finished_at: datetime | None = None
    stopped_at: str | None = None
    rollback_requested_by: str | None = None
    awaits_person: bool | None = None
    taken_up: datetime | None = None
    workload_found: SeenWorkload | None = None
    workload_left: SeenWorkload | None = None
    workload_decided: SeenWorkload | None = None
    superseded: Superseded | None = None

    @property
    def given(self) -> dict[str, Any]:
        """Return the values to be written, by field."""
        known = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in known.items() if value is not None}


NO_UPDATE = RunUpdate()
