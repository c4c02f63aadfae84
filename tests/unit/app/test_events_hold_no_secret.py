"""An Event is read by everybody who may `get events`: it holds no secret (E4)."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from kintsugi.app.events import ObjectEvents
from kintsugi.mask import MASK
from kubeobjects.resources import DEPLOYMENTS
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts
from tests.unit.factories import moment, run


async def test_an_event_masks_what_the_reason_of_a_run_quotes() -> None:
    metadata = SimpleNamespace(name="web", namespace="production", uid="uid-web")
    workload = SimpleNamespace(metadata=metadata)
    service = SimpleNamespace(namespace="production", workload=SimpleNamespace(resource=DEPLOYMENTS, metadata=metadata))
    record = replace(run(), reason="stopped at ask: http://ana:canary@web/ is closed, password: canary")
    view = SimpleNamespace(name="web", service=service, workload=workload)
    kube = ClusterOfDicts()
    views: Any = SimpleNamespace(views={record.service: view})
    written = ObjectEvents(kube, views, clock=moment)
    written.ended(record, ())
    writing = asyncio.create_task(written.run())
    while not kube.writes and not writing.done():
        await asyncio.sleep(0)
    assert not writing.done(), writing.exception()
    writing.cancel()
    ((_, _, event),) = kube.writes
    assert isinstance(event, Mapping)
    assert "canary" not in str(event)
    assert f"http://ana:{MASK}@web/" in event["message"]
