"""Keeps the pod template of each revision that becomes good: read from the cluster once a revision, a few of them at a time."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from kintsugi.actions.good_templates import GoodTemplates
from kintsugi.actions.revisions import find_revisions
from kintsugi.errors import DecryptionFailed, KubeError
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import ObjectName
from kintsugi.model.known import GoodRevision
from kintsugi.model.views import ServiceView
from kintsugi.telemetry import get_logger
from kintsugi.views import ServiceViews

log = get_logger(__name__)

MOST_AT_ONCE = 20
"""Templates that are read in one step: a daemon that starts on a large cluster asks for no more at a time."""

AGAIN_AFTER = timedelta(minutes=10)
"""The time after which a template that could not be read or kept is tried again."""


class GoodTemplateKeeper:
    """`templates` is where they are kept."""

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
