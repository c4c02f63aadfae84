"""The evidence for and against the rollback of a workload, and the command with which a person rolls it back. Pure."""

from dataclasses import dataclass

from kintsugi.model.run_update import SeenWorkload
from kintsugi.model.services import Service
from kintsugi.model.views import ServiceView
from kubeobjects.owners import Manager
from kubeobjects.workloads import Deployment


@dataclass(frozen=True, kw_only=True, slots=True)
class RollbackEvidence:
    """
    The evidence for and against rolling the workload back.

    `known_good`: the failing template was once seen good, so that the fault is elsewhere. `last_written_by_us`: the template is as
    our run left it, which is only known where that was `noted`. `upstream`: the name of an unhealthy upstream. `managers`: GitOps
    or operators that own the workload; `release`: its Helm release. `progresses`: its rollout gets on.
    """

    known_good: bool
    last_written_by_us: bool
    noted: bool = True
    upstream: str = ""
    managers: tuple[Manager, ...] = ()
    release: str = ""
    progresses: bool = False


def rollback_command(
    view: ServiceView, evidence: RollbackEvidence, *, last_good: int, adopted: bool = False, none_good: str = ""
) -> str:
    """
    Return the command with which a person rolls the workload back, "" for none; a shell takes it as it is.

    `last_good` is the number of the last revision that was seen good, 0 where none is known, `adopted` whether it was
    adopted; `none_good` is why there is none, "" where that is not known. There is no command where the failing template
    was seen good, or where GitOps or an operator would revert it. What Helm owns goes back by Helm alone. A paused rollout
    is resumed first: kubectl refuses to undo it.
    """
    if evidence.known_good or evidence.managers:
        return ""
    namespace = view.service.namespace
    if evidence.release:
        return f"helm rollback {evidence.release} -n {namespace}  # to the previous release"
    if not last_good:
        return f"# {none_good}" if none_good else ""
    undo = f"kubectl rollout undo {view.service.workload} --to-revision={last_good} -n {namespace}"
    if isinstance(view.workload, Deployment) and view.workload.spec.paused:
        undo = f"kubectl rollout resume {view.service.workload} -n {namespace} && {undo}"
    seen = "an adopted revision: its pods were ready already when Kintsugi started"
    return f"{undo}  # {seen if adopted else 'a revision that was seen healthy'}"


def superseded(decided: SeenWorkload | None, found: SeenWorkload, service: Service) -> str:
    """
    Return why a rollback that was decided may not begin any more: its workload is another one, or has another template (E17).

    Where a template is unknown, the generation counts: a DaemonSet names its template only once all of its pods are of it.
    """
    workload = service.workload
    if decided is None or (found.uid == "" and decided.uid != ""):
        return f"the state of {workload} when the rollback was decided cannot be compared with its state now"
    if found.uid != decided.uid:
        return f"{workload} was created anew since the rollback was decided"
    known = found.template != "" and decided.template != ""
    if (found.template != decided.template) if known else (found.generation != decided.generation):
        then, now = (f" (revision {each.revision})" if each.revision else "" for each in (decided, found))
        return f"{workload} was changed{now} since the rollback was decided{then}"
    return ""


def objection_to_rollback(view: ServiceView, evidence: RollbackEvidence) -> str:
    """Return the first objection to an automatic rollback, "" for none."""
    if evidence.upstream:
        return f"its upstream {evidence.upstream} is unhealthy, so the revision may not be the cause"
    if evidence.managers:
        return f"{view.service.workload} is managed by {', '.join(map(str, evidence.managers))}"
    if evidence.release:
        return f"{view.service.workload} belongs to the Helm release {evidence.release}, whose owner rolls the release back"
    if not evidence.noted:
        return f"the template of {view.service.workload} at the start of the run is unknown"
    if not evidence.last_written_by_us:
        return f"someone has changed {view.service.workload} since the run began"
    if evidence.known_good:
        return "the failing revision was seen good before, so a rollback would not help"
    return ""
