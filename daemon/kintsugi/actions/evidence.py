"""The evidence of an object before it is deleted: its description with Events, and its logs; bounded and redacted."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

from kintsugi.actions import api_objects
from kintsugi.actions.description import clip, described, events_about
from kintsugi.actions.effect_plan import Evidence
from kintsugi.errors import KubeError
from kintsugi.kube.client import KubeClient
from kintsugi.telemetry.redaction import SECRETS
from kubeobjects import unstructured
from kubeobjects.kept import Pod
from kubeobjects.resources import PODS
from kubeobjects.unstructured import Unstructured

_LINES = 500
_BYTES = 64 * 1024
_TIMEOUT = timedelta(seconds=10)


async def of_pod(kube: KubeClient, obj: Unstructured) -> tuple[Evidence, ...]:
    """
    Return a pod's description, and the current and previous log of each of its containers.

    Evidence that cannot be read (a container that never started has no log) contains the error instead.
    """
    description, *logs = await asyncio.gather(
        _description(kube, obj), *(_log(kube, obj, container, previous) for container, previous in _logs_of(obj))
    )
    return (description, *logs)


async def of_claim(obj: Unstructured) -> Evidence:
    """Return the whole description of a claim or a volume, from which a person could recreate it."""
    return Evidence(
        kind=f"describe {unstructured.nested_string(obj, 'kind')} {unstructured.name(obj)}",
        text=await described(unstructured.without_managed_fields(obj), ()),
    )


async def _description(kube: KubeClient, obj: Unstructured) -> Evidence:
    try:
        events = await events_about(
            kube, api_objects.named(PODS, obj), unstructured.nested_string(obj, "metadata", "namespace")
        )
    except KubeError as error:
        return Evidence(
            kind="describe",
            text=f"{await described(unstructured.without_managed_fields(obj), ())}\nits events cannot be read: {error}",
        )
    return Evidence(kind="describe", text=await described(unstructured.without_managed_fields(obj), events))


def _logs_of(obj: Unstructured) -> Iterator[tuple[str, bool]]:
    """Yield each log to read: the container, and whether it is that of the previous instance."""
    pod = api_objects.convert(obj, Pod)
    for status in (*pod.status.init_container_statuses, *pod.status.container_statuses):
        yield status.name, False
        if status.restart_count > 0:
            yield status.name, True


async def _log(kube: KubeClient, obj: Unstructured, container: str, previous: bool) -> Evidence:
    kind = f"logs {container}{' --previous' if previous else ''}"
    try:
        chunks = [
            chunk
            async for chunk in kube.logs(
                unstructured.name(obj),
                unstructured.nested_string(obj, "metadata", "namespace"),
                container=container,
                previous=previous,
                tail=_LINES,
                timestamps=True,
                limit_bytes=_BYTES,
                deadline=_TIMEOUT,
            )
        ]
    except KubeError as error:
        return Evidence(kind=kind, text=f"cannot be read: {error}")
    log = b"".join(chunks)
    return Evidence(kind=kind, text=clip(SECRETS.text(log.decode(errors="replace"))))
