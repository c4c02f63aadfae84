"""Restart, undo, pause and resume: never back to a bad revision, never over what a person has changed since."""

from collections.abc import Mapping
from datetime import timedelta

import pytest

from kintsugi.actions.effect_plan import RUN_ANNOTATION, TEMPLATE_ANNOTATION, EffectStatus, PatchWrite
from kintsugi.actions.probe import ProbeContext
from kintsugi.commands import decode
from kintsugi.model.command import Command, Verb
from kintsugi.model.records import Phase
from kintsugi.verbs.rollout import Rollout
from kubediagnosis.templates import RESTARTED
from kubeobjects.resources import DEPLOYMENTS, REPLICASETS, STATEFULSETS
from tests.unit.actions.changes import Cluster, Object
from tests.unit.actions.cluster_of_dicts import NOW
from tests.unit.actions.samples import controller_revision, deployment, replica_set, stateful_set

GOOD = frozenset({"hash-1"})
UNDO, RESTART = "kubectl rollout undo deployment/web", "kubectl rollout restart deployment/web"
PAUSE, RESUME = "kubectl rollout pause deployment/web", "kubectl rollout resume deployment/web"


def cluster() -> Cluster:
    """Make a Deployment at revision 2 (web:2) that was web:1 before."""
    return Cluster(deployment(), replica_set(1, "web:1", cause="first"), replica_set(2, "web:2"))


def web(kube: Cluster) -> Object:
    """Return the Deployment as it is now."""
    return kube.at(DEPLOYMENTS, "web")


def pods_of(kube: Cluster) -> Object:
    """Return its template."""
    template: Object = web(kube)["spec"]["template"]
    return template


def image(kube: Cluster) -> object:
    """Return the image that the Deployment asks for."""
    return pods_of(kube)["spec"]["containers"][0]["image"]


def back(command: Mapping[str, object]) -> Rollout:
    """Return the undo that was written down."""
    undo = decode(command)
    assert isinstance(undo, Rollout)
    return undo


async def test_undo_without_a_number_goes_to_the_last_revision_that_was_seen_good() -> None:
    """E13: the template without its hash, our mark, and no way back to the bad revision."""
    kube = cluster()
    plan = await kube.plan(UNDO, good=GOOD)
    assert (plan.facts["revision"], plan.facts["to"], plan.undo.commands) == (2, 1, ())
    assert "revision 2 was never seen good" in plan.undo.note
    result = await kube.actions.apply(plan)
    assert result.summary == "deployment/web rolled back from revision 2 (image web:2) to 1 (image web:1)"
    assert (image(kube), len(kube.writes)) == ("web:1", 1)
    assert "pod-template-hash" not in pods_of(kube)["metadata"]["labels"]
    annotations = web(kube)["metadata"]["annotations"]
    assert annotations["kubernetes.io/change-cause"] == "first"
    assert annotations["deployment.kubernetes.io/revision"] == "2"


async def test_the_undo_of_going_back_from_a_good_revision_returns_to_it() -> None:
    """Both were good: a mistaken rollback can be taken back."""
    plan = await cluster().plan(UNDO, good=frozenset({"hash-1", "hash-2"}))
    undo = back(plan.undo.commands[0])
    assert (undo.verb, undo.revision) == (Verb.ROLLOUT_UNDO, 2)


@pytest.mark.parametrize(
    ("command", "good", "reason"),
    [
        (UNDO, frozenset(), "no earlier revision of deployment/web was seen good"),
        (UNDO, frozenset({"hash-2"}), "no earlier revision of deployment/web was seen good"),
        (f"{UNDO} --to-revision=7", GOOD, "unable to find specified revision 7 in history: deployment/web has 1, 2"),
        (f"{UNDO} --to-revision=2", frozenset({"hash-2"}), "is at revision 2 already"),
        (f"{UNDO} --to-revision=1", frozenset({"hash-2"}), "revision 1 of deployment/web was never seen good"),
        (f"{UNDO} --current-revision=3", GOOD, "is not at revision 3 any more, but at revision 2"),
    ],
)
async def test_no_way_back_is_refused(command: str, good: frozenset[str], reason: str) -> None:
    """E13: no revision, the current one, one that was never good, or one that somebody has rolled out since."""
    assert reason in await cluster().refusal(command, good=good)
    assert await cluster().refusal(f"{UNDO} --current-revision=2", good=GOOD) == ""


@pytest.mark.parametrize(("command", "why"), [(UNDO, "resume it first"), (RESTART, "paused")])
async def test_a_paused_deployment_is_neither_undone_nor_restarted(command: str, why: str) -> None:
    """kubectl's own rule."""
    kube = cluster()
    web(kube)["spec"]["paused"] = True
    assert why in await kube.refusal(command, good=GOOD)


async def test_restart_stamps_the_template_and_is_undone_by_the_former_revision() -> None:
    """The stamp is kubectl's own."""
    kube = cluster()
    plan = await kube.make(RESTART)
    assert pods_of(kube)["metadata"]["annotations"][RESTARTED] == "2026-05-04T12:00:00Z"
    undo = back(plan.undo.commands[0])
    assert (undo.verb, undo.revision, undo.object.uid) == (Verb.ROLLOUT_UNDO, 2, "uid-web")


async def restarted() -> tuple[Cluster, Command]:
    """Restart, and do what the Deployment controller does then: a ReplicaSet for the new template. Give the undo, too."""
    kube = cluster()
    plan = await kube.make(RESTART)
    roll(kube)
    return kube, decode(plan.undo.commands[0])


def roll(kube: Cluster) -> None:
    """Make the ReplicaSet of the template in force."""
    made = replica_set(3, "ignored")
    made["spec"]["template"] = {**pods_of(kube), "metadata": {**pods_of(kube)["metadata"]}}
    made["spec"]["template"]["metadata"]["labels"] = {"app": "web", "pod-template-hash": "hash-3"}
    kube.add(made)
    web(kube)["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "3"


async def test_the_undo_of_a_restart_goes_back_over_it_although_nothing_is_known_to_be_good() -> None:
    """The two revisions differ in nothing but the stamp."""
    kube, undo = await restarted()
    assert "never seen good" in await kube.refusal(undo, phase=Phase.ROLLBACK)
    await kube.make(undo, phase=Phase.UNDO)
    assert RESTARTED not in pods_of(kube)["metadata"].get("annotations", {})
    assert image(kube) == "web:2"


async def test_an_undo_leaves_a_workload_alone_that_a_person_has_changed_since() -> None:
    """E17: the digest of what we left is on the object; `kubectl replace` takes every annotation away."""
    kube, undo = await restarted()
    assert await kube.refusal(undo, phase=Phase.UNDO, undoes=True) == ""
    mark = web(kube)["metadata"]["annotations"].pop(RUN_ANNOTATION)
    assert "changed by another client" in await kube.refusal(undo, phase=Phase.UNDO, undoes=True)
    web(kube)["metadata"]["annotations"][RUN_ANNOTATION] = mark
    assert web(kube)["metadata"]["annotations"][TEMPLATE_ANNOTATION]
    pods_of(kube)["spec"]["containers"][0]["image"] = "web:3"
    roll(kube)
    assert "changed by another client" in await kube.refusal(undo, phase=Phase.UNDO)


async def test_a_rollback_goes_back_over_templates_that_this_run_itself_left() -> None:
    """A patch after a restart is our own; so is a template that was there before the run began."""
    kube = cluster()
    web(kube)["metadata"]["annotations"][TEMPLATE_ANNOTATION] = "left-by-an-earlier-run"
    patch = 'kubectl patch deployment web --type=merge -p \'{"spec":{"template":{"spec":{"priority":1}}}}\''
    for command in ("kubectl scale deployment web --replicas=5", RESTART, patch):
        await kube.make(command)
        assert (await kube.plan(UNDO, good=GOOD, phase=Phase.ROLLBACK)).facts["to"] == 1


async def test_a_restart_planned_twice_in_one_run_has_two_marks() -> None:
    """The second one's probe does not take the first for its own."""
    kube = cluster()
    await kube.make(RESTART, path="one")
    second = await kube.plan(RESTART, path="two", now=NOW + timedelta(minutes=1))
    assert await kube.actions.probe(second) is EffectStatus.NOT_DONE


MARKS = "a && b <c> 2>&1 \u2028\u2029"


async def test_a_template_with_what_html_escapes_is_restarted_and_undone() -> None:
    """The API server compares a tested string with what it writes itself: `\\u0026` for `&`."""
    kube = cluster()
    for obj in (web(kube), kube.at(REPLICASETS, "web-1"), kube.at(REPLICASETS, "web-2")):
        obj["spec"]["template"]["spec"]["containers"][0]["command"] = ["sh", "-c", MARKS]
    for command in (PAUSE, RESUME, RESTART, UNDO):
        await kube.make(command, good=GOOD)
    assert (image(kube), len(kube.writes)) == ("web:1", 4)
    assert pods_of(kube)["spec"]["containers"][0]["command"][2] == MARKS


async def test_pause_and_resume_are_each_others_undo() -> None:
    kube = cluster()
    paused = await kube.make(PAUSE)
    assert web(kube)["spec"]["paused"] is True
    assert back(paused.undo.commands[0]).verb is Verb.ROLLOUT_RESUME
    await kube.undo(paused)
    assert "paused" not in web(kube)["spec"]


async def test_a_stateful_set_goes_back_through_its_controller_revisions() -> None:
    """Nulls and the patch directive in a revision are no difference."""
    kube = Cluster(stateful_set(), controller_revision(1, "db:1"), controller_revision(2, "db:2"))
    both, undo = frozenset({"db-1", "db-2"}), "kubectl rollout undo statefulset/db"
    assert "at revision 2 already" in await kube.refusal(f"{undo} --to-revision=2", good=both)
    plan = await kube.make(undo, good=frozenset({"db-1"}))
    assert isinstance(plan.write, PatchWrite)
    paths = [str(each["path"]) for each in plan.write.operations]
    assert not any(each.startswith("/metadata/annotations/") for each in paths), "it has no annotations to test"
    template = kube.at(STATEFULSETS, "db")["spec"]["template"]
    assert template["spec"]["containers"][0]["image"] == "db:1"
    assert "$patch" not in template


async def test_the_history_says_what_is_current_and_what_is_good() -> None:
    """The columns that expressions see; a ReplicaSet of another Deployment is not part of it."""
    kube = cluster()
    kube.add(replica_set(9, "web:9", deployment="other"))
    seen = await kube.read("kubectl rollout history deployment/web", probe_context=ProbeContext(good=GOOD))
    columns = ("number", "good", "current", "images", "cause")
    assert [tuple(each[column] for column in columns) for each in seen["revisions"]] == [
        (1, True, False, ["web:1"], "first"),
        (2, False, True, ["web:2"], ""),
    ]
    assert "now at 2, known to be good: 1" in seen["summary"]
    assert seen["lastGood"]["number"] == 1


@pytest.mark.parametrize(("good", "number"), [({1, 2, 4}, 2), ({1}, 1), ({4}, None), (set(), None)])
async def test_the_last_good_revision_is_neither_a_bad_one_nor_the_current_one(
    good: set[int], number: int | None
) -> None:
    """P6: nothing is rolled back to a revision that nobody has seen good."""
    kube = Cluster(stateful_set(image="db:4"), *(controller_revision(each, f"db:{each}") for each in (1, 2, 3, 4)))
    context = ProbeContext(good=frozenset(f"db-{each}" for each in good))
    seen = await kube.read("kubectl rollout history statefulset/db", probe_context=context)
    assert seen.get("lastGood", {}).get("number") == number
