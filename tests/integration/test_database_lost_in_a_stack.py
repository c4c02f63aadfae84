"""
The data of a stack are lost: its run asks through the database's, and who writes stays at 0 for everybody until data are there.

Server and worker are doubles here: what counts is who is asked, what is held, and who starts what.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from kintsugi.app.serving import operator_service
from kintsugi.errors import WrongState
from kintsugi.model.api_types import RecoverPreview, SignalQuery
from kintsugi.model.manual import RecoverRequest
from kintsugi.model.records import Incident, IncidentState, Reason, RunRecord
from kintsugi.model.services import STACK
from kintsugi_demo.shop import deployment
from kubeobjects.resources import PODS
from kubesim.faults import PodFault
from tests.integration.database_doubles import OWN_CLAIM, images, with_a_claim_of_its_own
from tests.integration.database_stage import DATABASE, NAMESPACE, Change, DatabaseStage
from tests.integration.documents import service

pytestmark = pytest.mark.long


CACHE, API, WEB = "cache-service", "api-service", "web-service"
WORKLOADS: Mapping[str, str] = {CACHE: "cache", API: "api-deployment", WEB: "web-app-deployment"}
STACK_RUNBOOK = """
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {name: everything}
spec:
  title: Everything, the cause first
  steps:
    - id: data
      parallel:
        - id: database
          unless: services.database.?healthy.orValue(false)
          service: database
          runbook: database-recovery
        - {id: integrity, needs: [database], service: database, checks: integrity}
        - id: cache
          unless: services.cache_service.?healthy.orValue(false)
          service: cache-service
          runbook: workload-recovery
    - id: backend
      unless: services.api_service.?healthy.orValue(false)
      service: api-service
      runbook: workload-recovery
    - id: frontend
      unless: services.web_service.?healthy.orValue(false)
      service: web-service
      runbook: workload-recovery
    - {id: well, expect: "services.all(s, s.healthy)", within: 10m}
  rollback: {after: 8h, then: leave}
---
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {name: start-it}
spec:
  title: Start what is down
  steps:
    - {id: start, run: "kubectl scale ${service.workload} --replicas=2"}
    - {id: well, expect: service.healthy, within: 5m}
  rollback: {after: 30m}
---
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {name: start-what-is-down}
spec: {on: services, service: api-service, when: service.desired == 0, runbook: start-it, mode: auto, cooldown: 1s}
"""
RULES = "\n---\n".join(
    [
        service(CACHE, app="cache", workload=f"deployment/{WORKLOADS[CACHE]}", runbook="workload-recovery"),
        service(
            WEB,
            app="web-app",
            workload=f"deployment/{WORKLOADS[WEB]}",
            priority=4,
            depends_on=[API],
            runbook="workload-recovery",
        ),
        STACK_RUNBOOK,
    ]
)
WELL_WITHIN = "all(s, s.healthy)\n      within: {}\n"
STARTS_AFTER = timedelta(seconds=60)
"""How long a new server takes to start: the writers are at 0 meanwhile."""


@dataclass(frozen=True, kw_only=True)
class StackShop:
    """The four services, and the daemon that watches them."""

    stage: DatabaseStage

    @property
    def stack(self) -> DatabaseStage:
        """Return the stage that looks at the incidents about all services."""
        return replace(self.stage, about=STACK)

    def healthy(self, name: str) -> bool:
        """Return whether the daemon sees a service well."""
        return self.stage.core.services.views[name].healthy is True

    async def lose_the_data(self) -> None:
        """Lose the database's volume, and let every pod of all other services be unready until it is made again."""
        cluster = self.stage.cluster
        for pod in cluster.find(PODS, NAMESPACE):
            if not pod["metadata"]["name"].startswith(DATABASE):
                cluster.faults.make_unready(pod["metadata"]["uid"])
        cluster.lose_volume(OWN_CLAIM, NAMESPACE)
        await self.stage.until(lambda: not any(map(self.healthy, (DATABASE, *WORKLOADS))))

    async def recover(self, runbook: str, service: str) -> None:
        """Let Ada start a runbook by hand."""
        wish = RecoverRequest(runbook=runbook, service=service, why="it is down")
        digest = (await self.plan(runbook, service)).digest
        await operator_service(self.stage.core).recover(replace(wish, digest=digest), who="ada")

    async def plan(self, runbook: str, service: str) -> RecoverPreview:
        """Let Ada look at what a runbook would do, and at what stands against it."""
        wish = RecoverRequest(runbook=runbook, service=service, why="it is down")
        return await operator_service(self.stage.core).recover(wish, who="ada")

    async def runs(self) -> Mapping[str, RunRecord]:
        """Return every run by its service; there is one each."""
        ledger = self.stage.core.ledger
        found = [
            run for each in await ledger.incidents.newest(limit=20) for run in await ledger.incidents.runs_of(each.id)
        ]
        assert len({each.service for each in found}) == len(found), await self.stage.story()
        return {each.service: each for each in found}

    async def begun(self, service: str) -> None:
        """Wait until a run of a service is under way that the run about all services has started."""

        async def has_begun() -> bool:
            run = (await self.runs()).get(service)
            return run is not None and run.parent != ""

        await self.stage.until(has_begun)

    async def refused(self, reason: Reason) -> Sequence[str]:
        """Return what was said of the signals that were refused for a reason."""
        found = await self.stage.core.ledger.signals.list_signals(SignalQuery(reason=reason))
        return [each.verdict.text for each in found if each.verdict is not None]

    async def says(self, words: str) -> Incident:
        """Wait until the incident about all services says something."""
        found: list[Incident] = []

        async def said() -> bool:
            found[:] = await self.stage.core.ledger.incidents.newest(limit=1, service=STACK)
            return words in found[0].reason

        await self.stage.until(said)
        return found[0]


WELL = ("runbooks/database-restore.yaml", WELL_WITHIN.format("10m"), WELL_WITHIN.format("1m"))
"""The dependents of the database are waited for a tenth as long."""


@asynccontextmanager
async def a_shop(folder: Path, *, changed: Sequence[Change] = ()) -> AsyncIterator[StackShop]:
    """Have the four services well; `changed` is what of the shipped files is changed."""
    others = (
        deployment(WORKLOADS[name], {"app": app}, image="shop/web:good", replicas=1)
        for name, app in ((CACHE, "cache"), (WEB, "web-app"))
    )
    database = (*with_a_claim_of_its_own(), *others)
    async with DatabaseStage.set(
        folder, database=database, images=images(folder, starts_after=STARTS_AFTER), rules=RULES, changed=changed
    ) as stage:
        shop = StackShop(stage=stage)
        await stage.until(lambda: all(map(shop.healthy, (DATABASE, *WORKLOADS))))
        yield shop


async def test_a_stack_whose_data_are_lost_asks_restores_them_and_goes_on_level_by_level(tmp_path: Path) -> None:
    """P2, P6: nobody else starts the writers meanwhile: neither a rule, nor a person's runbook, nor its own next level."""
    async with a_shop(tmp_path) as shop:
        stage = shop.stage
        await shop.lose_the_data()
        await shop.recover("everything", STACK)
        question = await stage.question()
        assert "Restore s3://backup-bucket/database/monday.dump into an empty volume?" in question
        asking = await stage.incident()
        waiting = await shop.says("waits for a person")
        assert waiting.state is IncidentState.RUNNING
        assert f"kintsugi approve {asking.id}" in waiting.reason
        await stage.until(lambda: shop.healthy(CACHE))
        assert stage.replicas() == 2

        await stage.agree()
        await stage.until(lambda: stage.replicas() == 0)
        plan = await shop.plan("start-it", API)
        assert [each.text for each in plan.answers if "is held by run" in each.text], plan
        with pytest.raises(WrongState):
            await shop.recover("start-it", API)

        async def has_been_refused() -> bool:
            return any("service api-service is held by run" in each for each in await shop.refused(Reason.LOCKED))

        await stage.until(has_been_refused)
        ended = await shop.stack.reaches(IncidentState.RECOVERED, IncidentState.NEEDS_OPERATOR)
        assert ended.state is IncidentState.RECOVERED, await stage.story()
        runs = await shop.runs()
        assert {name: run.state for name, run in runs.items()} == dict.fromkeys(runs, IncidentState.RECOVERED)
        assert "restored to" in runs[DATABASE].reason
        restored, web = runs[DATABASE].finished, runs[WEB].started
        assert restored is not None
        assert restored <= web
        starts = [each for each in await stage.changes() if each.startswith(f"PATCH deployments/{WORKLOADS[API]}")]
        assert len(starts) == 2, starts


async def test_a_dependent_that_no_data_help_is_left_to_the_next_level_of_its_stack_and_no_reason_to_leave_the_restore(
    tmp_path: Path,
) -> None:
    """The database's run ends recovered: it is the API's that does not help, and its template that nobody has changed back."""
    async with a_shop(tmp_path, changed=[WELL]) as shop:
        stage = shop.stage
        await shop.lose_the_data()
        for pod in stage.cluster.find(PODS, NAMESPACE, {"app": "api"}):
            template = pod["metadata"]["labels"]["pod-template-hash"]
            stage.cluster.faults.break_template(template, PodFault.UNREADY)
        await shop.recover("everything", STACK)
        await stage.question()
        await stage.agree()

        restored = await stage.reaches(IncidentState.RECOVERED, IncidentState.NEEDS_OPERATOR)
        assert restored.state is IncidentState.RECOVERED, await stage.story()
        assert stage.replicas() == 2
        assert (await stage.steps())["restore/well"].met is False
        await shop.begun(API)


async def test_a_no_leaves_the_stack_to_a_person_with_what_is_up_what_is_not_and_the_commands(tmp_path: Path) -> None:
    """P6: nothing of the database is touched, and none of the levels above it is begun."""
    async with a_shop(tmp_path) as shop:
        stage = shop.stage
        await shop.lose_the_data()
        await shop.recover("everything", STACK)
        await stage.question()
        await shop.says("waits for a person")
        await stage.until(lambda: shop.healthy(CACHE))

        await stage.roll_back(confirmed=True)
        ended = await shop.stack.reaches(IncidentState.RECOVERED, IncidentState.NEEDS_OPERATOR)
        print(ended.reason)
        assert ended.state is IncidentState.NEEDS_OPERATOR
        child = await stage.incident()
        assert ended.reason.startswith(f"stopped at data/database: database-recovery on database: {child.state}")
        assert "Not healthy:\n  database\n  api-service\n  web-service\nHealthy:\n  cache-service\n" in ended.reason
        overruling = "--override handed-over --override cooldown"
        assert f"  kintsugi recover database-recovery --service database {overruling}" in ended.reason
        assert f"  kintsugi recover everything --service stack {overruling}" in ended.reason
        assert set(await shop.runs()) == {STACK, DATABASE, CACHE}
        assert stage.replicas() == 2
        kinds = ("statefulsets", "persistentvolumeclaims/", "persistentvolumes")
        assert [each for each in await stage.changes() if any(kind in each for kind in kinds)] == []
