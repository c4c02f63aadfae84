"""The workload of a run's service, read from a view that has caught up with the API server."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import structlog

from kintsugi.actions.verb_bases import namespace_of, object_of
from kintsugi.commands.registry import definition_of
from kintsugi.commands.verb_definition import VerbDefinition
from kintsugi.errors import KubeError
from kintsugi.model.command import Command
from kintsugi.model.records import SeenWorkload, StepRecord
from kintsugi.model.services import Service
from kintsugi.model.views import ServiceView
from kintsugi.runner.context import RunnerDeps
from kintsugi.runner.journal import command_of
from kubeobjects.metadata import Metadata
from kubeobjects.workloads import Deployment

log = structlog.get_logger(__name__)

CATCH_UP = timedelta(seconds=30)
"""The time that the watch may lag behind the API server for a workload; it takes milliseconds on a healthy cluster."""


async def seen_workload(deps: RunnerDeps, service: str) -> SeenWorkload | None:
    """
    Return the workload of a service as it is now, None for a service that is not in the catalog.

    Where the watch does not catch up with the API server in time, its template and its uid are "".
    """
    view = deps.observed.views.get(service)
    if view is None:
        return None
    try:
        async with asyncio.timeout(CATCH_UP.total_seconds()):
            return seen_of(await _caught_up(deps, view))
    except TimeoutError:
        log.warning("watch lags behind the API server", workload=str(view.service.workload))
        return replace(seen_of(view), template="", uid="")


async def _caught_up(deps: RunnerDeps, view: ServiceView) -> ServiceView:
    """
    Return the service once its view shows the workload as the API server has it.

    An alert may be here sooner than the watch: what was rolled out before it would pass for somebody's change since.
    """
    while True:
        # Nothing is known while the API server does not answer: it is asked again.
        with suppress(KubeError):
            live = await deps.prober.metadata(view.service.workload, view.service.namespace)
            view = deps.observed.views.get(view.name) or view
            if shows(view, live):
                return view
        await asyncio.sleep(deps.poll_interval.total_seconds())


def shows(view: ServiceView, live: Metadata | None) -> bool:
    """Return whether a view shows the template that a workload asks for, as the API server has it."""
    workload = view.workload
    if workload is None or live is None:
        return workload is None and live is None
    kept = workload.metadata
    seen = kept.uid == live.uid and kept.generation >= live.generation
    settled = workload.status.observed_generation >= kept.generation
    return seen and settled and (view.template != "" or not isinstance(workload, Deployment))


def seen_of(view: ServiceView) -> SeenWorkload:
    """Return the facts of a workload that are noted."""
    metadata = view.workload.metadata if view.workload is not None else Metadata()
    return SeenWorkload(
        template=view.template,
        revision=view.revision,
        desired=view.desired,
        ready=view.ready,
        uid=metadata.uid,
        generation=metadata.generation,
        healthy=view.healthy,
    )


def is_workload_of(command: Command, service: Service) -> bool:
    """Return whether a change is about a service's workload."""
    asked, own = object_of(command), service.workload
    return (asked.resource, asked.name, namespace_of(command)) == (own.resource, own.name, service.namespace)


def rollout_verb(step: StepRecord, service: Service) -> VerbDefinition[Command] | None:
    """Return the verb by which a step has rolled out a service's workload, None for another change."""
    command = command_of(step)
    if command is None:
        return None
    verb = definition_of(command)
    return verb if verb.rolled_out(step.facts) and is_workload_of(command, service) else None
