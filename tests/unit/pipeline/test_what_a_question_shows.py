"""A question about a run shows the changes that the run would make now, with their values; the source of the runbook follows."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from kintsugi.actions.actions import Actions
from kintsugi.app.notice_headlines import NoticeHeadlines
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.executor import Executor
from kintsugi.ledger import Ledger
from kintsugi.model.catalog import Catalog
from kintsugi.model.known import GoodRevision
from kintsugi.model.records import Approval, Reason
from kintsugi.model.rules import Mode
from kintsugi.pipeline.run_preview import RunPreviewer
from kintsugi.runner import RunnerDeps
from kintsugi.telemetry import Containment
from kubeobjects.resources import DEPLOYMENTS, NODES, PODS, REPLICASETS
from tests.harness.daemon import ROOT
from tests.harness.ledger_rows import change
from tests.unit.actions.samples import deployment, node, owner, replica_set
from tests.unit.actions.samples import pod as sample_pod
from tests.unit.executor.effects import Boundary
from tests.unit.executor.power import Power
from tests.unit.executor.scripted_actor import ScriptedActor
from tests.unit.factories import NOW, catalog, moment, rule_text, service_text, signal, virtual_clock
from tests.unit.pipeline.business import LIMITS, PipelineBench, SlowCluster

pytestmark = pytest.mark.looptime

BACK = "  $ kubectl rollout undo deployment/web --to-revision=1 --current-revision=2 -n production"
CAUSE = (
    "container web cannot pull image web:2: the registry does not have it: "
    'Back-off pulling image "web:2": ErrImagePull: not found'
)


def shipped() -> Catalog:
    """Load the service web with the shipped generic runbook."""
    texts = [(ROOT / "runbooks" / f"{name}.yaml").read_text() for name in ("workload-recovery", "start-service")]
    return catalog(service_text(runbook="workload-recovery"), rule_text(), *texts)


def without_image(name: str) -> dict[str, Any]:
    """Make a pod of revision 2, whose image the registry does not have."""
    waiting = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "web:2": ErrImagePull: not found'}
    status = {"name": "web", "ready": False, "restartCount": 0, "state": {"waiting": waiting}}
    made = sample_pod(name, phase="Pending", containerStatuses=[status])
    made["metadata"]["labels"] |= {"pod-template-hash": "hash-2"}
    made["metadata"]["ownerReferences"] = [owner("ReplicaSet", "web-2", "uid-web-2")]
    made["spec"]["containers"] = [{"name": "web", "image": "web:2"}]
    return made


class Questions:
    """A daemon in mode approve over a Deployment whose second revision has an image that does not exist."""

    def __init__(self, ledger: Ledger, *, good: bool) -> None:
        self.ledger = ledger
        self.kube = SlowCluster()
        self.kube.put(DEPLOYMENTS, deployment())
        for number in (1, 2):
            self.kube.put(REPLICASETS, replica_set(number, f"web:{number}"))
        self.kube.put(PODS, without_image("web-3"))
        self.bench = PipelineBench(mode=Mode.APPROVE, known=shipped(), ledger=ledger)
        if good:
            self.good(1)
        deps = RunnerDeps(
            executor=Executor(ScriptedActor(), Boundary(power=Power()), clock=virtual_clock),
            prober=Actions(self.kube, Clients.restricted_to(AddressRule())),
            observed=self.bench.observed,
            clock=virtual_clock,
            poll_interval=timedelta(seconds=1),
            command_timeout=timedelta(seconds=30),
        )
        previewer = RunPreviewer(
            deps=deps,
            ledger=ledger,
            active_catalog=self.bench.active_catalog,
            limits=LIMITS,
            containment=Containment(),
            within=timedelta(seconds=3),
        )
        self.bench.pipeline.requester.preview = previewer.preview

    def good(self, number: int) -> None:
        """Let a revision have been seen good."""
        revision = GoodRevision(
            workload="uid-web", template=f"hash-{number}", number=number, first_good=NOW, last_good=NOW
        )
        self.bench.observed.remember((revision,))

    async def ask(self) -> Approval:
        """Let a pod be unhealthy, and return the question."""
        await self.ledger.signals.accept([signal()], NOW)
        await self.bench.pipeline.step()
        (asked,) = await self.questions()
        return asked

    async def questions(self) -> tuple[Approval, ...]:
        """Return the questions so far, oldest first."""
        (incident,) = await self.ledger.incidents.newest()
        return await self.ledger.approvals.of_incident(incident.id)

    async def approve(self) -> None:
        """Let a person approve each question, and the daemon look after its incidents."""
        await change(self.ledger, Approval, who="ada", answered=NOW)
        await self.bench.pending_incidents.tend()

    async def notices(self) -> list[str]:
        """Return the notices as they are sent."""
        headlines = NoticeHeadlines(ledger=self.ledger, clock=virtual_clock, delay=timedelta(0), affected=no_affected)
        due = await self.ledger.outbox.due_notices(moment(hours=1), 100)
        return [each.text for each in await headlines.complete(due)]


async def no_affected(_: str) -> Sequence[str]:
    """Return no service: there is only one."""
    return ()


async def test_a_question_and_its_notice_show_the_rollback_that_the_diagnosis_leads_to(ledger: Ledger) -> None:
    scene = Questions(ledger, good=True)
    asked = await scene.ask()
    first, *lines = asked.question.splitlines()
    assert first == "Run Workload recovery on web?"
    assert lines[:3] == ["The run would execute now:", BACK, f"Reason: {CAUSE}"]
    source = lines.index("The steps of the runbook:")
    assert lines[source + 1].startswith("Delete what a StatefulSet waits for")
    (notice,) = await scene.notices()
    assert notice.splitlines()[2:5] == lines[:3]
    assert scene.kube.writes == [], "a preview only reads"


async def test_a_question_says_that_nothing_here_helps_with_the_reason(ledger: Ledger) -> None:
    scene = Questions(ledger, good=False)
    asked = await scene.ask()
    said = f"Nothing here helps now: a restart does not help: {CAUSE}"
    assert asked.question.splitlines()[1:3] == [said, "The steps of the runbook:"]
    (notice,) = await scene.notices()
    assert notice.splitlines()[2] == said


async def test_a_step_that_depends_on_an_earlier_change_is_shown_as_possible(ledger: Ledger) -> None:
    scene = Questions(ledger, good=True)
    scene.good(2)
    scene.kube.put(NODES, node())
    scene.kube.put(PODS, sample_pod("web-3"))
    asked = await scene.ask()
    assert asked.question.splitlines()[1:6] == [
        "The run would execute now:",
        "  $ kubectl delete pod web-3 -n production",
        "Reason: no cause is known; unhealthy pods may be restarted",
        "Later steps may execute:",
        "  Restart the workload if that was not enough: kubectl rollout restart deployment/web -n production",
    ]


async def test_an_approved_run_that_would_make_the_changes_that_were_shown_starts(ledger: Ledger) -> None:
    scene = Questions(ledger, good=True)
    await scene.ask()
    await scene.approve()
    assert len(scene.bench.supervisor.started) == 1
    assert len(await scene.questions()) == 1


async def test_an_approved_run_that_would_make_other_changes_by_now_does_not_start_and_is_asked_about_again(
    ledger: Ledger,
) -> None:
    """E28."""
    scene = Questions(ledger, good=True)
    await scene.ask()
    scene.bench.observed.forget_good("uid-web", "hash-1")
    await scene.approve()
    assert scene.bench.supervisor.started == []
    _, again = await scene.questions()
    assert again.question.splitlines()[1].startswith("Nothing here helps")
    assert again.answered is None
    assert any(
        "the plan has changed since ada approved it; approval is requested again" in each
        for each in await scene.notices()
    )


async def test_a_preview_that_takes_too_long_keeps_no_question_away(ledger: Ledger) -> None:
    scene = Questions(ledger, good=True)
    scene.kube.slow = 5.0
    asked = await scene.ask()
    said = "The commands that the run would execute now are not known: they were not determined within 3s"
    assert asked.question.splitlines()[1] == said
    await scene.approve()
    assert len(scene.bench.supervisor.started) == 1, "the plan as a whole was approved"


async def test_a_rejected_plan_is_not_asked_about_again_when_it_would_make_other_changes(ledger: Ledger) -> None:
    scene = Questions(ledger, good=True)
    await scene.ask()
    await change(ledger, Approval, who="ada", rejected=NOW, why="a deploy")
    await scene.bench.pending_incidents.tend()
    scene.bench.observed.forget_good("uid-web", "hash-1")
    await ledger.signals.rearm(NOW)
    await scene.bench.pipeline.step()
    assert (await scene.bench.verdicts())["sig-1"].reason is Reason.REJECTED
