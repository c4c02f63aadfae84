"""An Event is read by everybody who may `get events`: it holds no secret (E4)."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from kintsugi.app.events import ObjectEvents
from kintsugi.objects.resources import DEPLOYMENTS, Resource
from kintsugi.telemetry import MASK
from tests.unit.factories import moment, run


class Events:
    """Takes Events, and is done after the first."""

    def __init__(self) -> None:
        self.made: list[Any] = []

    async def create(self, resource: Resource, namespace: str, body: Any) -> None:
        """Take an Event."""
        self.made.append(body)


async def test_an_event_masks_what_the_reason_of_a_run_quotes() -> None:
    metadata = SimpleNamespace(name="web", namespace="production", uid="uid-web")
    workload = SimpleNamespace(metadata=metadata)
    service = SimpleNamespace(namespace="production", workload=SimpleNamespace(resource=DEPLOYMENTS, metadata=metadata))
    record = replace(run(), reason="stopped at ask: http://ana:canary@web/ is closed, password: canary")
    view = SimpleNamespace(name="web", service=service, workload=workload)
    events = Events()
    written = ObjectEvents(events, SimpleNamespace(views={record.service: view}), clock=moment)
    written.ended(record, ())
    writing = asyncio.create_task(written.run())
    while not events.made:
        await asyncio.sleep(0)
    writing.cancel()
    (event,) = events.made
    assert "canary" not in str(event)
    assert f"http://ana:{MASK}@web/" in event["message"]
