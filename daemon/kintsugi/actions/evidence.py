"""What is kept of an object before it is deleted: its description with events, and its logs; bounded and redacted."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

from kintsugi.actions import live
from kintsugi.actions.description import clip, described
from kintsugi.actions.events import events_about
from kintsugi.actions.live import Live
from kintsugi.actions.prepared import Evidence
from kintsugi.actions.threads import computed
from kintsugi.errors import KubeError
from kintsugi.kube.client import KubeClient
from kintsugi.objects.kept import Pod
from kintsugi.objects.resources import PODS
from kintsugi.telemetry.redaction import SECRETS

_LINES = 500
_BYTES = 64 * 1024
_PATIENCE = timedelta(seconds=10)


async def of_pod(kube: KubeClient, obj: Live) -> tuple[Evidence, ...]:
    """
    Keep a pod's description, and the current and previous log of each of its containers.

    What cannot be read (a container that never started has no log) is kept as the sentence that says so.
    """
    description, *logs = await asyncio.gather(
        _description(kube, obj), *(_log(kube, obj, container, previous) for container, previous in _logs_of(obj))
    )
    return (description, *logs)


async def of_claim(obj: Live) -> Evidence:
    """Keep a claim or a volume whole: a person could make it anew from this."""
    return Evidence(
        kind=f"describe {live.text(obj, 'kind')} {live.name(obj)}", text=await described(live.shown(obj), ())
    )


async def _description(kube: KubeClient, obj: Live) -> Evidence:
    try:
        events = await events_about(kube, live.named(PODS, obj), live.text(obj, "metadata", "namespace"))
    except KubeError as error:
        return Evidence(
            kind="describe", text=f"{await described(live.shown(obj), ())}\nits events cannot be read: {error}"
        )
    return Evidence(kind="describe", text=await described(live.shown(obj), events))


def _logs_of(obj: Live) -> Iterator[tuple[str, bool]]:
    """Yield container and whether its previous instance is meant."""
    pod = live.kept(obj, Pod)
    for status in (*pod.status.init_container_statuses, *pod.status.container_statuses):
        yield status.name, False
        if status.restart_count > 0:
            yield status.name, True


async def _log(kube: KubeClient, obj: Live, container: str, previous: bool) -> Evidence:
    kind = f"logs {container}{' --previous' if previous else ''}"
    try:
        chunks = [
            chunk
            async for chunk in kube.logs(
                live.name(obj),
                live.text(obj, "metadata", "namespace"),
                container=container,
                previous=previous,
                tail=_LINES,
                timestamps=True,
                limit_bytes=_BYTES,
                deadline=_PATIENCE,
            )
        ]
    except KubeError as error:
        return Evidence(kind=kind, text=f"cannot be read: {error}")
    log = b"".join(chunks)
    return Evidence(kind=kind, text=await computed(len(log), lambda: clip(SECRETS.text(log.decode(errors="replace")))))
