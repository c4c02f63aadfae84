"""
Executes commands by their verbs.

Only the executor calls it for changes: `plan_effect` judges, the executor commits the intent, `apply` makes the one write, and
`probe` determines the outcome of a write whose answer was lost.
"""

import asyncio
from datetime import timedelta

from kintsugi.actions import api_objects, preconditions, pvcs
from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.command_secrets import Encryption, as_kept, hide
from kintsugi.actions.effect_plan import RUN_ANNOTATION, TEMPLATE_ANNOTATION, EffectPlan, EffectStatus
from kintsugi.actions.good_templates import GoodTemplates
from kintsugi.actions.job_effect import JobState
from kintsugi.actions.pods import ContainerExec
from kintsugi.actions.probe import ANONYMOUS_PROBE, ProbeContext, Result
from kintsugi.actions.verb_bases import ChangeVerb, JobVerb, ObjectVerb, ProbeVerb, VerbClients, object_of
from kintsugi.clients.clients import Clients
from kintsugi.clients.http import HttpClient
from kintsugi.commands import render
from kintsugi.commands.registry import definition_of
from kintsugi.errors import CommandError, KintsugiError, KubeError, ProbeFailed, Refused
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import Command
from kintsugi.model.services import WorkloadRef
from kintsugi.settings import RestoreSettings
from kintsugi.telemetry import in_words
from kubediagnosis.templates import template_digest, template_of
from kubeobjects import unstructured
from kubeobjects.metadata import Metadata, Object

_LAST_PROBE = 5.0
"""The time limit in seconds of a probe that began before the deadline."""


class Actions:
    """Executes commands on one cluster."""

    def __init__(
        self,
        kube: KubeClient,
        clients: Clients,
        restore: RestoreSettings | None = None,
        encryption: Encryption | None = None,
        templates: GoodTemplates | None = None,
    ) -> None:
        self._kube = kube
        self._encryption = encryption or Encryption()
        self._clients = VerbClients(
            kube=kube,
            clients=clients,
            containers=ContainerExec(kube),
            restore=restore or RestoreSettings(),
            encrypts=self._encryption.is_possible,
            templates=templates or GoodTemplates(),
        )

    @property
    def templates(self) -> GoodTemplates:
        """Return the pod templates that `kubectl rollout undo --to-good-template` goes back to."""
        return self._clients.templates

    @property
    def http(self) -> HttpClient:
        """Return the client of HTTP servers that keeps to the daemon's rule of addresses."""
        return self._clients.clients.http

    async def read(
        self, command: Command, *, deadline: timedelta, probe_context: ProbeContext = ANONYMOUS_PROBE
    ) -> Result:
        """
        Run a command that only looks.

        A log that is followed, a wait and a `rollout status` last until `deadline` at most; a log then ends well.
        `probe_context` has the other facts that the answer depends on. Raises KubeError or ProbeFailed when there is no
        answer, Refused for an address that may not be asked, and for a command that changes something.
        """
        verb, seconds = definition_of(command), deadline.total_seconds()
        if not isinstance(verb, ProbeVerb):
            raise Refused(f"{type(command).__name__} changes something: it is not a probe")
        try:
            # A command that lasts until its deadline ends by itself with its result; a second is for its last look.
            async with asyncio.timeout(seconds + (_LAST_PROBE if verb.lasts else 0)):
                return await verb.read(self._clients, command, deadline=deadline, probe_context=probe_context)
        except TimeoutError as error:
            raise ProbeFailed(f"{render(command)}: no answer within {seconds:g} s") from error
        except KintsugiError:
            raise
        # Contained: errors of parsing an answer that does not match the API. Nothing is known then (P6).
        except Exception as error:
            raise KubeError(f"{render(command)}: the answer cannot be read: {in_words(error)}") from error

    async def metadata(self, workload: WorkloadRef, namespace: str) -> Metadata | None:
        """Return a workload's metadata from the API server, None where it does not exist. Raises KubeError."""
        found = await api_objects.found(self._kube, workload.resource, workload.name, namespace)
        return api_objects.convert(found, Object).metadata if found is not None else None

    async def is_as_left(self, workload: WorkloadRef, namespace: str, run: str) -> bool:
        """
        Return whether a workload has the template that a run has left: by the run's mark, and the digest beside it.

        Raises KubeError.
        """
        found = await self._kube.get(workload.resource, workload.name, namespace)
        annotations = unstructured.nested_map(found, "metadata", "annotations")
        ours = str(annotations.get(RUN_ANNOTATION, "")).startswith(f"{run}/")
        return ours and annotations.get(TEMPLATE_ANNOTATION) == template_digest(template_of(found))

    def split(self, command: Command) -> tuple[Command, ...]:
        """Split a change of several objects into changes of one object each, in order."""
        verb = definition_of(command)
        return verb.split(command) if isinstance(verb, ChangeVerb) else (command,)

    async def plan_effect(self, command: Command, context: ChangeContext) -> EffectPlan:
        """
        Judge a change of one object by a live read of it; nothing is changed.

        Raises Refused with the reason why it is not made; KubeError when it cannot be judged (P6): NotFound for an unknown
        name, Conflict for a JSON patch whose tests fail; DecryptionFailed for an encrypted command that cannot be read.
        """
        preconditions.check(context.off_limits)
        bare = await self._encryption.read(command, context)
        try:
            plan = await self._planned(bare, context)
        except (KubeError, Refused, CommandError) as error:
            hide(error, bare)
            raise
        return await self._encryption.keep(as_kept(plan, command), context)

    async def _planned(self, command: Command, context: ChangeContext) -> EffectPlan:
        verb = definition_of(command)
        if isinstance(verb, ObjectVerb):
            object_of(command)
        if not isinstance(verb, ChangeVerb):
            raise Refused(f"{type(command).__name__} is a probe: there is nothing to prepare")
        plan = await verb.plan_effect(self._clients, command, context)
        if isinstance(verb, ObjectVerb) and plan.write is not None:
            await pvcs.check_claims_stay(self._kube, plan, verb.object_of(plan), verb.namespace_of(plan) or "")
        return plan

    async def apply(self, plan: EffectPlan) -> Result:
        """
        Make a planned change by exactly one write; by none when the object was as requested already.

        Raises Conflict when the object is another one or has changed since it was judged (nothing was changed: plan again),
        another KubeError when it was refused, OutcomeUnknown when its answer was lost: probe then.
        """
        try:
            return await _verb_of(plan).apply(self._clients, plan)
        except KubeError as error:
            hide(error, plan.write)
            raise

    async def reread(self, plan: EffectPlan) -> Result:
        """Read the object of a change again: `items`, empty when it is gone."""
        return await _verb_of(plan).reread(self._clients, plan)

    async def probe(self, plan: EffectPlan) -> EffectStatus:
        """Return whether a change was made; see `ObjectVerb.effect_status`. It is unknown for requests of `curl`."""
        return await _verb_of(plan).probe(self._clients, plan)

    async def watch(self, plan: EffectPlan, context: ChangeContext) -> JobState:
        """
        Return the state of a Job that was made, by this process or an earlier one.

        Raises KubeError when that cannot be asked now; it says nothing about the Job.
        """
        verb = definition_of(plan.command)
        assert isinstance(verb, JobVerb), plan.command
        return await verb.watch(self._clients, plan, context)


def _verb_of(plan: EffectPlan) -> ChangeVerb[Command]:
    verb = definition_of(plan.command)
    assert isinstance(verb, ChangeVerb), plan.command
    return verb
