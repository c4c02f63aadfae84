"""An undo that names the revision with the former pod template, so that its secrets stay in that revision."""

from kintsugi.actions.difference import restoring_patch
from kintsugi.actions.effect_plan import undone_by
from kintsugi.actions.loaded_target import LoadedTarget
from kintsugi.actions.revisions import find_revisions
from kintsugi.actions.secret_checks import WITH_A_KEY
from kintsugi.errors import NotYet, Refused
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import TemplateReference, Verb
from kintsugi.model.records import UndoRecord
from kintsugi.verbs.rollout import Rollout
from kubediagnosis.templates import template_digest, unstamped_digest
from kubediagnosis.workload_revisions import current_of
from kubeobjects import unstructured
from kubeobjects.resources import WORKLOADS
from kubeobjects.unstructured import Unstructured

_NOTHING = "[]"


async def undo_by_revision(kube: KubeClient, loaded: LoadedTarget, after: Unstructured) -> UndoRecord:
    """
    Write down where the former values of a pod template are: a secret stays in its revision.

    Raises Refused when no revision holds them, NotYet while the controller has not made it.
    """
    former = loaded.obj
    template, left = (unstructured.nested_map(obj, "spec", "template") for obj in (former, after))
    if loaded.asked.resource not in WORKLOADS or template == left:
        raise Refused(
            f"{loaded.asked}: to undo this a secret would have to be kept, and no revision holds it; {WITH_A_KEY}"
        )
    if unstructured.nested_int(former, "spec", "revisionHistoryLimit", default=10) < 1:
        raise Refused(
            f"{loaded.asked} keeps no old revisions: its former template, which holds a secret, would be lost; {WITH_A_KEY}"
        )
    revision = current_of(await find_revisions(kube, loaded.asked, former, loaded.context.good))
    if revision is None:
        raise NotYet(f"{loaded.asked} has no revision yet that holds its template")
    reference = TemplateReference(uid=revision.uid, digest=template_digest(revision.pods), over=unstamped_digest(left))
    back = Rollout(
        verb=Verb.ROLLOUT_UNDO,
        object=loaded.asked,
        namespace=loaded.namespace,
        revision=revision.number,
        template=reference,
    )
    others = restoring_patch(
        loaded.asked,
        loaded.namespace,
        *(unstructured.without_field(obj, "spec", "template") for obj in (former, after)),
    )
    return undone_by(back, *([others] if others.patch != _NOTHING else []))
