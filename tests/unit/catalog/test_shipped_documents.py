"""The rules and runbooks that come with the product load, and say and do what the runbook page says."""

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from kintsugi.catalog import load, shipped_paths
from kintsugi.model.catalog import Catalog
from kintsugi.model.rules import Mode, RuleSource
from kintsugi.model.runbooks import InOrder, OnFailure, RollbackThen, Run, Step, UndoStep
from kintsugi.scope.values import EvaluationContext, StepOutcome, step_names
from kintsugi.verbs import logs
from kubeobjects.metadata import Metadata
from kubeobjects.storage import PersistentVolumeClaim
from tests.unit.catalog.documents import answer
from tests.unit.factories import NOW, incident, pod, view


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load(shipped_paths())


def line(step: Step) -> str:
    return step.do.command.source if isinstance(step.do, Run) else ""


def test_the_five_services_have_the_priorities_of_the_page(catalog: Catalog) -> None:
    priorities = {service.name: service.priority for service in catalog.services.values()}
    assert priorities == {
        "database": 1,
        "cache-service": 2,
        "api-service": 3,
        "web-service": 4,
        "ingress-controller": 5,
    }


def test_the_web_service_runbook_has_the_five_steps_of_the_page(catalog: Catalog) -> None:
    lines = [line(step) for step in catalog.runbooks["web-service-recovery"].steps]
    assert lines == [
        "kubectl get pods -l app=web-app",
        "kubectl delete pod ${each}",
        "kubectl scale deployment web-app-deployment --replicas=${params.replicas}",
        "kubectl get svc web-app-service",
        "curl http://${steps.balancer.item.address}/health",
    ]


def test_the_web_service_rollback_has_the_four_steps_of_the_page(catalog: Catalog) -> None:
    rollback = catalog.runbooks["web-service-recovery"].rollback
    assert rollback.after == timedelta(minutes=30)
    assert [line(step).partition(" --")[0] for step in rollback.steps] == [
        "kubectl rollout history deployment/web-app-deployment",
        "kubectl rollout undo deployment/web-app-deployment",
        "kubectl rollout status deployment/web-app-deployment",
        "",
    ]


def test_the_database_runbook_has_the_five_checks_of_the_page_in_their_order(catalog: Catalog) -> None:
    lines = [line(step) for step in catalog.runbooks["database-recovery"].steps]
    page = [
        "kubectl get pods -l ${service.selector}",
        "kubectl get pv,pvc",
        "kubectl logs -f ${each} --since=15m",
        "kubectl exec -it ${service.workload} -- psql -U postgres -c 'SELECT 1'",
        "kubectl exec -it ${service.workload} -- psql -U postgres -c 'SELECT * FROM pg_stat_replication'",
    ]
    places = [lines.index(each) for each in page]
    assert places == sorted(places)
    assert [each for each in lines if " delete " in each] == ["kubectl delete pod ${each}"]


def finding(means: str) -> dict[str, object]:
    return {"severity": "critical", "means": means, "line": "", "pod": "database-0", "sqlstate": ""}


@pytest.mark.parametrize(
    ("ready", "lost", "findings", "restarts"),
    [
        (False, False, [], True),
        (False, False, [finding("client"), finding("failure"), finding("recovering")], True),
        (True, False, [], False),
        (False, True, [], False),
        (False, False, [finding("corruption")], False),
        (False, False, [finding("panic")], False),
        (False, False, [finding("empty")], False),
        (False, False, [finding("incompatible")], False),
        (False, False, [finding("disk-full")], False),
    ],
)
def test_a_database_is_not_restarted_while_its_data_are_in_doubt(
    catalog: Catalog, ready: bool, lost: bool, findings: list[dict[str, object]], restarts: bool
) -> None:
    """Nor is a pod that is well: what may be the last healthy member is left alone."""
    earlier = {"lost": StepOutcome(ran=True, met=not lost), "logs": looked(findings=findings), "alive": NOT_RUN}
    names = step_names(database(catalog), earlier=earlier, each=pod("database-0", ready=ready))
    assert answer(step_of(catalog, "restart").when, names) is restarts


@pytest.mark.parametrize(("answers", "others", "restarts"), [(True, 0, False), (True, 1, True), (False, 0, True)])
def test_the_last_pod_that_answers_is_not_restarted(
    catalog: Catalog, answers: bool, others: int, restarts: bool
) -> None:
    """Its probe may say what it likes: nobody else has the data at hand."""
    earlier = {"lost": MET, "logs": looked(findings=[]), "alive": StepOutcome(ran=True, met=answers)}
    names = step_names(database(catalog, ready=others), earlier=earlier, each=pod("database-0", ready=False))
    assert answer(step_of(catalog, "restart").when, names) is restarts


def database(catalog: Catalog, *, ready: int = 0, **more: object) -> EvaluationContext:
    """Return what is seen of the database, with so many pods that are ready."""
    seen = view(catalog.services["database"], ready=ready)
    return EvaluationContext(now=NOW, service=replace(seen, **more))  # type: ignore[arg-type]


REDO = "LOG:  redo in progress, elapsed time: 10.00 s, current LSN: 0/{}"
TURNED_AWAY = "FATAL:  the database system is starting up ({})"


@pytest.mark.parametrize(("line", "goes_on"), [(REDO, True), (TURNED_AWAY, False)])
def test_crash_recovery_is_waited_for_while_it_replays_and_not_while_it_only_turns_clients_away(
    catalog: Catalog, line: str, goes_on: bool
) -> None:
    """Every probe is turned away once more: that is no progress."""
    progress = step_of(catalog, "patience").progress
    findings = ([{**finding("recovering"), "line": line.format(at)}] for at in (1, 2))
    first, second = (
        answer(progress, step_names(EvaluationContext(now=NOW), own={"findings": each})) for each in findings
    )
    assert (first != second) is goes_on


def claim(phase: str, volume: str = "pv-1") -> PersistentVolumeClaim:
    spec = {"volumeName": volume} if volume else {}
    content = {"metadata": {"name": "data", "uid": "u-1"}, "spec": spec, "status": {"phase": phase}}
    return msgspec.convert(content, PersistentVolumeClaim)


def starts(*containers: str) -> list[dict[str, object]]:
    return [{"pod": "database-0", "start": each, "means": ["corruption"]} for each in containers]


BOUND, LOST = claim("Bound"), claim("Lost")
MET, UNMET, NOT_RUN = (
    StepOutcome(ran=True, met=True),
    StepOutcome(ran=True, met=False),
    StepOutcome(ran=False, met=False),
)
VOLUMES = [{"metadata": {"name": "pv-1"}}]
SOUND = {
    "there": StepOutcome(ran=True, met=True, result={"items": VOLUMES}),
    "logs": StepOutcome(ran=True, met=True, result={"findings": [], "starts": []}),
    "connect": MET,
    "present": StepOutcome(ran=True, met=True, result={"rows": [{"datname": "app"}]}),
    "filled": StepOutcome(ran=True, met=True, result={"rows": [{"count": 7}]}),
    "again": NOT_RUN,
    "third": NOT_RUN,
}
"""What the steps before the restore come to of a database that is well."""


def looked(**result: object) -> StepOutcome:
    return StepOutcome(ran=True, met=False, result=result)


DAMAGED = looked(findings=[finding("corruption")], starts=starts("c1"))
EMPTY = looked(findings=[finding("empty")], starts=starts())


@pytest.mark.parametrize(
    ("claims", "steps", "proposed"),
    [
        ((BOUND,), {}, False),
        ((LOST,), {}, True),
        ((BOUND,), {"there": looked(items=[])}, True),
        ((claim("Pending"),), {"there": looked(items=[])}, False),
        ((claim("Pending", ""),), {"connect": UNMET}, False),
        ((BOUND,), {"there": UNMET}, False),
        ((BOUND,), {"connect": UNMET}, False),
        ((BOUND,), {"connect": UNMET, "logs": UNMET}, False),
        ((BOUND,), {"connect": UNMET, "again": UNMET}, False),
        ((BOUND,), {"connect": UNMET, "again": DAMAGED}, False),
        ((BOUND,), {"connect": UNMET, "again": DAMAGED, "third": UNMET}, False),
        ((BOUND,), {"connect": UNMET, "again": DAMAGED, "third": MET}, True),
        ((BOUND,), {"logs": DAMAGED}, False),
        ((BOUND,), {"connect": UNMET, "again": looked(findings=[finding("disk-full")], starts=[])}, False),
        ((BOUND,), {"connect": UNMET, "again": looked(findings=[finding("incompatible")], starts=[])}, False),
        ((BOUND,), {"connect": UNMET, "again": EMPTY, "present": NOT_RUN, "filled": NOT_RUN}, True),
        ((BOUND,), {"logs": EMPTY}, False),
        ((BOUND,), {"logs": EMPTY, "present": looked(rows=[{"datname": "postgres"}]), "filled": NOT_RUN}, True),
        ((BOUND,), {"logs": EMPTY, "present": UNMET, "filled": NOT_RUN}, False),
        ((BOUND,), {"logs": EMPTY, "filled": looked(rows=[{"count": 0}])}, True),
    ],
)
def test_a_restore_is_proposed_only_where_the_data_are_surely_gone_or_damaged(
    catalog: Catalog, claims: tuple[PersistentVolumeClaim, ...], steps: dict[str, StepOutcome], proposed: bool
) -> None:
    """P6: never on a timeout, a claim that waits, a question without an answer, or a connection that fails."""
    names = step_names(database(catalog, pvcs=claims), earlier={**SOUND, **steps})
    assert answer(step_of(catalog, "restore").when, names) is proposed


@pytest.mark.parametrize(
    ("again", "second", "third", "three"),
    [
        (["c1"], ["c2"], ["c3"], True),
        (["c1", "c2"], ["c2", "c3"], ["c3"], True),
        (["c1"], ["c1"], [], False),
        (["c1"], ["c2"], ["c2"], False),
        (["c1", "c2"], ["c2"], [], False),
    ],
)
def test_damage_is_seen_at_three_starts_though_each_look_may_show_but_one(
    catalog: Catalog, again: list[str], second: list[str], third: list[str], three: bool
) -> None:
    """A container that waits for its next start has one log, whichever way it is asked for."""
    around = EvaluationContext(now=NOW)
    seen = {"connect": UNMET, "again": looked(starts=starts(*again))}
    wanted = step_of(catalog, "second")
    assert answer(wanted.when, step_names(around, earlier=seen)) is True
    another = answer(wanted.expect, step_names(around, earlier=seen, own={"starts": starts(*second)}))
    both = {**seen, "second": looked(starts=starts(*second))}
    names = step_names(around, earlier=both, own={"starts": starts(*third)})
    assert (another and answer(step_of(catalog, "third").expect, names)) is three


def test_no_object_is_touched_before_a_person_agrees_and_none_is_scaled_before_the_volumes_are_kept(
    catalog: Catalog,
) -> None:
    steps = catalog.runbooks["database-restore"].steps
    ids = [step.id for step in steps]
    changing = [
        step
        for step in steps
        if isinstance(step.do, InOrder | UndoStep) or (isinstance(step.do, Run) and step.do.command.changes)
    ]
    assert [step.id for step in changing][:2] == ["newest", "keep"]
    assert ids.index("newest") < ids.index("agreed") < ids.index("keep")
    assert catalog.runbooks["database-restore"].rollback.then is RollbackThen.LEAVE
    assert catalog.runbooks["database-restore"].complete_once_begun


def test_the_question_of_a_restore_says_what_is_lost(catalog: Catalog) -> None:
    backup = {
        "url": "s3://backup-bucket/database/app.dump",
        "taken": NOW - timedelta(minutes=47, seconds=3),
        "proven": False,
        "skipped": [{"url": "s3://backup-bucket/database/later.dump", "reason": "it is truncated"}],
    }
    claims = tuple(
        PersistentVolumeClaim(metadata=Metadata(name=name)) for name in ("data-database-0", "logs-database-0")
    )
    around = replace(database(catalog, pvcs=claims), incident=incident(), parameters={"rpo": timedelta(minutes=30)})
    names = step_names(around, earlier={"newest": StepOutcome(ran=True, met=True, result={"backup": backup})})
    agreed = step_of(catalog, "agreed", "database-restore").approve
    assert agreed is not None
    assert agreed.question.evaluate(names) == (
        "The data of database are gone or corrupt. Restore s3://backup-bucket/database/app.dump into an empty volume? It was "
        "taken at 2026-05-04T11:12:57Z: what was written in the 47m3s between then and the failure is lost, more than the RPO "
        "of 30m. Nobody recorded a checksum of it: it reads through to its end, its content is unproven. Newer ones that are "
        "no good: s3://backup-bucket/database/later.dump (it is truncated). Replaced claims: "
        "data-database-0, logs-database-0."
    )


def step_of(catalog: Catalog, name: str, runbook: str = "database-recovery") -> Step:
    return next(step for step in catalog.runbooks[runbook].steps if step.id == name)


def test_every_service_has_rules_on_its_pods_its_readiness_its_checks_and_its_alerts(catalog: Catalog) -> None:
    for name in catalog.services:
        sources = {rule.on for rule in catalog.rules.values() if rule.service == name}
        assert sources >= {RuleSource.POD, RuleSource.SERVICES, RuleSource.CHECK, RuleSource.ALERT}, name


def test_a_rule_on_the_check_smoke_leaves_pods_that_are_not_ready_yet_to_other_rules(catalog: Catalog) -> None:
    """A cache that reads its dump does not answer either, and a restart would make it begin anew."""
    conditions = {name: rule.when for name, rule in catalog.rules.items() if rule.check == "smoke"}
    assert {name: when and when.source for name, when in conditions.items()} == dict.fromkeys(
        (f"{each}-does-not-answer" for each in ("api-service", "cache-service", "ingress-controller", "web-service")),
        "service.serving",
    )


def test_a_rule_about_a_fault_that_no_restart_mends_only_observes(catalog: Catalog) -> None:
    missing = "database-volume-missing"  # what is lost is restored, when a person agrees
    volumes = [rule for rule in catalog.rules.values() if "volume" in rule.name and rule.name != missing]
    assert volumes
    assert {rule.mode for rule in volumes} == {Mode.OBSERVE}


def test_the_shipped_documents_load_at_any_scale_of_durations(catalog: Catalog) -> None:
    fast = load(shipped_paths(), durations=0.001)
    assert fast.runbooks["web-service-recovery"].rollback.after == timedelta(seconds=1.8)
    assert fast.digest != catalog.digest


# Word for word what Redis 7.0 writes: of a dump with a turned bit, of half a dump, of a whole one.
TURNED = (
    "1:M 26 Nov 2026 16:20:00.210 * Loading RDB produced by version 7.0.15",
    "1:M 26 Nov 2026 16:20:00.214 # Wrong RDB checksum expected: (73544a6fe1fb08a7) but got (b79bdad3339ec6a9). Aborting now.",
    "--- RDB ERROR DETECTED ---",
)
HALF = (
    "1:M 26 Nov 2026 16:20:00.442 # Short read or OOM loading DB. Unrecoverable error, aborting now.",
    "--- RDB ERROR DETECTED ---",
)
NO_MEMORY = ("1:M 26 Nov 2026 16:20:00.442 # Short read or OOM loading DB. Unrecoverable error, aborting now.",)
WHOLE = (
    "1:M 26 Nov 2026 16:19:34.144 * Loading RDB produced by version 7.0.15",
    "1:M 26 Nov 2026 16:19:34.144 * DB loaded from disk: 0.000 seconds",
)


@pytest.mark.parametrize(
    ("lines", "broken"), [(TURNED, True), (HALF, True), (NO_MEMORY, False), (WHOLE, False)], ids=str
)
def test_only_what_redis_has_read_twice_calls_a_dump_broken(
    catalog: Catalog, lines: tuple[str, ...], broken: bool
) -> None:
    """P6: a short read alone may be for want of memory."""
    found = logs.find(lines, ["cache-0"] * len(lines), step_of(catalog, "logs", "cache-recovery").scan.patterns)  # type: ignore[union-attr]
    assert any(each["means"] == "corruption" for each in found) is broken


@pytest.mark.parametrize(
    ("second", "ready", "expendable", "asked"),
    [(True, 0, True, True), (False, 0, True, False), (True, 1, True, False), (True, 0, False, False)],
)
def test_a_person_is_asked_only_where_the_dump_is_surely_broken_nothing_answers_and_it_can_be_made_again(
    catalog: Catalog, second: bool, ready: int, expendable: bool, asked: bool
) -> None:
    """P6: never on one start, never while a pod still has the data, never without the author's word."""
    service = replace(catalog.services["cache-service"], expendable=expendable)
    around = EvaluationContext(now=NOW, service=view(service, ready=ready))
    earlier = {"second": StepOutcome(ran=True, met=second, result={"starts": []})}
    names = step_names(around, earlier=earlier)
    assert answer(step_of(catalog, "anew", "cache-recovery").when, names) is asked


def test_no_object_is_touched_before_a_person_agrees_and_none_is_stopped_before_the_volumes_are_kept(
    catalog: Catalog,
) -> None:
    reset = catalog.runbooks["cache-reset"]
    ids = [step.id for step in reset.steps]
    changing = [step.id for step in reset.steps if isinstance(step.do, Run) and step.do.command.changes]
    assert ids[:2] == ["allowed", "agreed"]
    assert changing == ["keep", "retain", "stop", "mark", "claim", "start"]
    assert reset.rollback.then is RollbackThen.LEAVE


def test_only_the_reset_of_the_cache_is_completed_once_begun(catalog: Catalog) -> None:
    assert catalog.runbooks["cache-reset"].complete_once_begun
    assert not catalog.runbooks["cache-recovery"].complete_once_begun
    assert not catalog.runbooks["workload-recovery"].complete_once_begun


@pytest.mark.parametrize(
    ("keys", "known", "anew", "asked", "met"),
    [
        ("500", {"keys": 1000}, False, ("share",), True),
        ("499", {"keys": 1000}, False, ("share",), False),
        ("0", {"keys": 1000}, True, (), True),
        ("0", {}, False, ("unmeasured",), True),
    ],
    ids=["half", "less than half", "begun anew", "nothing to measure by"],
)
def test_the_keys_that_are_back_are_measured_by_the_last_good_look(
    catalog: Catalog, keys: str, known: dict[str, int], anew: bool, asked: tuple[str, ...], met: bool
) -> None:
    """Where there is none that is said, and the fewest that are wanted alone count."""
    service = replace(view(catalog.services["cache-service"], ready=1), counts=known)
    earlier = {
        "anew": StepOutcome(ran=anew, met=anew),
        "keys": StepOutcome(ran=True, met=True, result={"lines": [keys]}),
    }
    around = EvaluationContext(now=NOW, service=service, parameters={"share_of_keys": 0.5, "fewest_keys": 0})
    names = step_names(around, earlier=earlier)
    wanted = [step_of(catalog, each, "cache-recovery") for each in ("share", "unmeasured")]
    assert tuple(each.id for each in wanted if each.when and each.when.evaluate(names)) == asked
    assert all(each.expect and each.expect.evaluate(names) is met for each in wanted if each.id in asked)
    assert {step_of(catalog, each, "cache-recovery").on_failure for each in ("keys", "share")} == {OnFailure.ESCALATE}
