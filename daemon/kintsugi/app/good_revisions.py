"""
Remembers the good revisions of a workload: seen healthy for long enough, with every pod of theirs, while each check of
the service was met and no signal about it held. One whose pods had been ready for as long when the daemon saw them first
is adopted, unless the ledger has a signal of that time. One that fails by itself soon after is forgotten again. It also remembers the number of replicas that a
workload last had, and the counts of checks while their service was well.

A rollback goes to such a revision or nowhere. After a restart the memory is read from the ledger. In memory are the
workloads that are in the cluster, and the last revisions of each.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from kintsugi.actions.good_templates import GoodTemplates
from kintsugi.actions.workload_reads import find_revisions
from kintsugi.decisions.priorities import unhealthy_upstream
from kintsugi.decisions.revision_checks import ON_TRIAL, CheckedRevision, fails_by_itself, none_good, not_good
from kintsugi.errors import DecryptionFailed, KubeError
from kintsugi.kube.client import KubeClient
from kintsugi.ledger import Ledger
from kintsugi.model.command import ObjectName
from kintsugi.model.good_state import GoodRevision, RevisionStanding
from kintsugi.model.views import ServiceView
from kintsugi.pipeline.observed_state import ObservedState
from kintsugi.telemetry import get_logger
from kintsugi.views import ServiceViews
from kubediagnosis.facts import CheckFacts

log = get_logger(__name__)

NOTED_EVERY = timedelta(days=1)
"""The interval at which a still good revision is written to the ledger; retention counts in days."""

MOST_AT_ONCE = 20
"""Templates that are read in one step: a daemon that starts on a large cluster asks for no more at a time."""

AGAIN_AFTER = timedelta(minutes=10)
"""The time after which a template that could not be read or kept is tried again."""


class GoodTemplateKeeper:
    """Keeps the pod template of each good revision in `templates`: read once a revision, a few at a time."""

    def __init__(self, services: ServiceViews, kube: KubeClient, templates: GoodTemplates) -> None:
        self._services = services
        self._kube = kube
        self._templates = templates
        self._kept: dict[str, str] = {}
        self._again: dict[str, datetime] = {}

    async def keep(self, good: Sequence[GoodRevision]) -> None:
        """Keep the templates of these revisions that are not kept yet. Raises LedgerUnavailable."""
        views = {
            view.workload.metadata.uid: view for view in self._services.views.values() if view.workload is not None
        }
        due = [each for each in good if each.workload in views and self._is_due(each)]
        for each in due[:MOST_AT_ONCE]:
            try:
                is_kept = await self._keep(each, views[each.workload])
            except (KubeError, DecryptionFailed) as error:
                log.warning("good template not kept", workload=each.workload, template=each.template, error=str(error))
                is_kept = False
            if is_kept:
                self._kept[each.workload] = each.template
            else:
                self._again[each.workload] = each.last_good + AGAIN_AFTER

    def forget(self, workload: str) -> None:
        """Forget that the template of a workload (by uid) is kept."""
        self._kept.pop(workload, None)

    def forget_all_but(self, workloads: Collection[str]) -> None:
        """Keep in memory what can be asked for."""
        self._kept = {uid: template for uid, template in self._kept.items() if uid in workloads}
        self._again = {uid: moment for uid, moment in self._again.items() if uid in workloads}

    def _is_due(self, revision: GoodRevision) -> bool:
        again = self._again.get(revision.workload)
        later = again is not None and revision.last_good < again
        return not later and self._kept.get(revision.workload) != revision.template

    async def _keep(self, good: GoodRevision, view: ServiceView) -> bool:
        """Keep one template; return whether it is. Raises KubeError, DecryptionFailed, LedgerUnavailable."""
        namespace, workload = view.service.namespace, view.service.workload
        asked = ObjectName(resource=workload.resource, name=workload.name, uid=good.workload)
        if await self._templates.is_kept(asked, namespace, good.template, workload=good.workload):
            return True
        found = await self._kube.get(asked.resource, asked.name, namespace)
        revisions = await find_revisions(self._kube, asked, found, (good.template,))
        revision = next((each for each in revisions if each.good), None)
        if revision is None:
            return False
        fits = await self._templates.keep(asked, namespace, revision, workload=found, seen=good.last_good)
        if fits:
            log.info("good template kept", workload=good.workload, template=good.template, number=revision.number)
        else:
            log.warning("good template is too large to be kept", workload=good.workload, template=good.template)
        return fits


class ServiceChecks(Protocol):
    """The port to the checks of services; `Checks` implements it."""

    def answers(self, service: str) -> tuple[CheckFacts, ...]:
        """Return how a service's checks were answered last."""
        ...

    def unasked(self, service: str, since: datetime) -> tuple[str, ...]:
        """Name the checks of a service that were not asked since a moment."""
        ...

    def unanswered(self, service: str) -> tuple[str, ...]:
        """Name the checks of a service that have no answer now."""
        ...


@dataclass(eq=False)
class GoodRevisionTracker:
    """Tracks good revisions: `lasting` is how long one must be healthy; `templates`, if given, keeps their templates."""

    services: ServiceViews
    observed: ObservedState
    store: Ledger
    checks: ServiceChecks
    lasting: timedelta
    templates: GoodTemplateKeeper | None = None
    _why_not: dict[str, str] = field(default_factory=dict)
    _recalled: set[str] = field(default_factory=set)
    _knows_counts: bool = False
    _noted: dict[tuple[str, str], datetime] = field(default_factory=dict)
    _first_good: dict[tuple[str, str], datetime] = field(default_factory=dict)

    async def step(self) -> None:
        """Recall what is known of workloads that were not seen before, and note what is good now."""
        there = self.known_workloads()
        if there is not None:
            self._forget_all_but(there)
        for uid in sorted(self._workloads() - self._recalled):
            self._remember(await self.store.good_state.good_revisions(uid))
            if (seen := await self.store.good_state.seen_replicas(uid)) is not None:
                self.services.replicas.recall(seen)
            self._recalled.add(uid)
        await self._forget_what_fails()
        await self._note_replicas()
        await self._note_counts()
        good = self.services.good_revisions(self.lasting)
        due = await self._shown_good([each for each in good if self._is_new(each) or self._is_due(each)])
        if self.templates is not None:
            await self.templates.keep([each for each in good if each in due or not self._is_new(each)])
        if due:
            await self.store.good_state.note_good(due)
            for each in due:
                self._noted[each.workload, each.template] = each.last_good
                if self._is_new(each):
                    log.info(
                        "good revision noted",
                        workload=each.workload,
                        template=each.template,
                        number=each.number,
                        adopted=each.adopted,
                    )
            self._remember(due)
        self.observed.standings = {view.name: self._standing(view) for view in self.services.views.values()}

    def _standing(self, view: ServiceView) -> RevisionStanding:
        """Return whether the revision that a service has now is good, or when it will be."""
        uid = view.workload.metadata.uid if view.workload is not None else ""
        known, time = self.observed.remembered.get(uid, {}), self.services.templates.times.get(view.name)
        since, until, why_not = time.since if time else None, time.until if time else None, self._why_not.get(uid, "")
        is_good = view.template in known
        is_well = view.is_current and since is not None and until is None
        return RevisionStanding(
            number=view.revision,
            good_since=self._first_good.get((uid, view.template)) if is_good else None,
            good_at=since + self.lasting if since is not None and is_well and not is_good else None,
            adopted=view.template in self.observed.adopted(view.name),
            why_not="" if is_good else why_not,
            none_good="" if known else none_good(why_not, since, until, lasting=self.lasting),
        )

    def _remember(self, revisions: tuple[GoodRevision, ...]) -> None:
        self.observed.remember(revisions)
        for each in revisions:
            self._first_good.setdefault((each.workload, each.template), each.first_good)

    async def _forget_what_fails(self) -> None:
        """Forget the good revisions in force that fail by themselves while they are on trial."""
        views = self.services.views
        for view in views.values():
            key = (view.workload.metadata.uid if view.workload is not None else "", view.template)
            first, now = self._first_good.get(key), self.services.now()
            if first is None or not view.is_current or now - first > ON_TRIAL * self.lasting:
                continue
            upstream = unhealthy_upstream(view.name, views)
            if why := fails_by_itself(view, since=first, upstream=upstream, now=now):
                await self.store.good_state.forget_good(*key)
                self.observed.forget_good(*key)
                if self.templates is not None:
                    self.templates.forget(key[0])
                self.services.templates.forget(view.name)
                del self._first_good[key]
                log.warning("good revision forgotten", workload=key[0], template=key[1], why=why)

    async def _shown_good(self, revisions: Sequence[GoodRevision]) -> tuple[GoodRevision, ...]:
        """Leave out those of services of which a check is not met, or about which a signal holds; why is logged once."""
        found, why_not = list[GoodRevision](), dict[str, str]()
        if revisions:
            workloads, holding = self._views_of_workloads(), await self._holding()
            is_adopting = any(each.adopted for each in revisions)
            ended = await self._holding(since=self.services.now() - self.lasting) if is_adopting else {}
            for each in revisions:
                signals = {**ended, **holding} if each.adopted else holding
                why = self._objection(each, workloads.get(each.workload, ()), signals)
                if not why:
                    found.append(each)
                    continue
                why_not[each.workload] = why
                if self._why_not.get(each.workload) != why:
                    log.info("revision is not good", workload=each.workload, template=each.template, why=why)
        self._why_not = why_not
        return tuple(found)

    def _objection(
        self, revision: GoodRevision, views: Sequence[ServiceView], holding: Mapping[str, Sequence[str]]
    ) -> str:
        """
        Return why the services of a revision's workload do not show that it is good, "" when they do.

        While the cluster's names do not resolve here, a check without an answer says nothing about the service.
        """
        names_resolve = self.observed.unresolved() == ""
        for view in views:
            checked = CheckedRevision(
                since=revision.first_good,
                adopted=revision.adopted,
                unanswered=self.checks.unanswered(view.name) if names_resolve else (),
                unasked=self.checks.unasked(view.name, revision.first_good),
                checks=self.checks.answers(view.name),
                signals=holding.get(view.name, ()),
            )
            if why := not_good(checked, lasting=self.lasting, now=revision.last_good):
                return why
        return ""

    def _views_of_workloads(self) -> Mapping[str, Sequence[ServiceView]]:
        """Return the views of services by the uid of their workload."""
        found: dict[str, list[ServiceView]] = {}
        for view in self.services.views.values():
            if view.workload is not None:
                found.setdefault(view.workload.metadata.uid, []).append(view)
        return found

    async def _holding(self, *, since: datetime | None = None) -> Mapping[str, Sequence[str]]:
        """Return the rules whose signals hold, or have ended since a moment, by their service."""
        rules, found = self.services.catalog.rules, dict[str, list[str]]()
        for name in await self.store.signals.holding(rules, since=since):
            found.setdefault(rules[name].service, []).append(name)
        return found

    async def _note_replicas(self) -> None:
        seen = self.services.replicas.unsaved()
        await self.store.good_state.note_replicas(seen)
        self.services.replicas.saved(seen)

    async def _note_counts(self) -> None:
        counts = self.services.counts
        if not self._knows_counts:
            counts.recall(await self.store.good_state.good_counts())
            self._knows_counts = True
        unsaved = counts.unsaved()
        await self.store.good_state.note_counts(unsaved)
        counts.saved(unsaved)

    def known_workloads(self) -> frozenset[str] | None:
        """Name the workloads (by uid) of all services that are in the cluster, None while it is not seen."""
        return None if self.services.stale_reason else self._workloads()

    def _workloads(self) -> frozenset[str]:
        views = self.services.views.values()
        return frozenset(view.workload.metadata.uid for view in views if view.workload is not None) - {""}

    def _forget_all_but(self, there: frozenset[str]) -> None:
        """Keep in memory what can be asked for; the ledger knows the rest, should it come back."""
        self._recalled &= there
        self.observed.forget_all_but(there)
        self.services.replicas.forget_all_but(there)
        if self.templates is not None:
            self.templates.forget_all_but(there)
        known = {(uid, template) for uid, templates in self.observed.remembered.items() for template in templates}
        self._noted = {key: moment for key, moment in self._noted.items() if key in known}
        self._first_good = {key: moment for key, moment in self._first_good.items() if key in known}

    def _is_new(self, revision: GoodRevision) -> bool:
        known = self.observed.remembered.get(revision.workload, {})
        return known.get(revision.template) != revision.number

    def _is_due(self, revision: GoodRevision) -> bool:
        """
        Return whether it is time to write down again that it is good still: what was not good for long is forgotten.

        So it is when an adopted one was watched for long enough.
        """
        if not revision.adopted and (revision.workload, revision.template) in self.observed.adopted_templates:
            return True
        noted = self._noted.get((revision.workload, revision.template))
        return noted is None or revision.last_good - noted >= NOTED_EVERY
