"""Restart, undo, pause and resume: never back to a bad revision, never over what a person has changed since."""

from dataclasses import replace
from datetime import timedelta

import pytest

from kintsugi.actions.actions import Actions
from kintsugi.actions.effect_plan import RUN_ANNOTATION, TEMPLATE_ANNOTATION, EffectStatus, PatchWrite
from kintsugi.actions.probe_context import ProbeContext
from kintsugi.actions.templates import RESTARTED
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.commands import decode
from kintsugi.errors import Conflict, OutcomeUnknown, Refused
from kintsugi.model.command import ObjectName, Patch, Verb
from kintsugi.model.records import Phase
from kintsugi.verbs.rollout import Rollout
from kintsugi.verbs.scale import Scale
from kubeobjects.resources import CONTROLLERREVISIONS, DEPLOYMENTS, REPLICASETS, STATEFULSETS
from tests.harness.results import named
from tests.unit.actions.cluster_of_dicts import NOW, ClusterOfDicts
from tests.unit.actions.samples import (
    NAMESPACE,
    change_context,
    controller_revision,
    deployment,
    owner,
    replica_set,
    stateful_set,
)

GOOD = frozenset({"hash-1"})


def rollout(verb: Verb, revision: int = 0, name: str = "web") -> Rollout:
    """Make a rollout command."""
    resource = DEPLOYMENTS if name == "web" else STATEFULSETS
    asked = ObjectName(resource=resource, name=name)
    return Rollout(verb=verb, object=asked, namespace=NAMESPACE, revision=revision)


def cluster() -> ClusterOfDicts:
    """Make a Deployment at revision 2 (web:2) that was web:1 before."""
    return ClusterOfDicts(
        (DEPLOYMENTS, deployment()),
        (REPLICASETS, replica_set(1, "web:1", cause="first")),
        (REPLICASETS, replica_set(2, "web:2")),
    )


def actions(kube: ClusterOfDicts) -> Actions:
    """Make the actions on a fake cluster."""
    return Actions(kube, Clients.restricted_to(AddressRule()))


def image(kube: ClusterOfDicts) -> str:
    """Return the image that the Deployment asks for."""
    return str(kube.at(DEPLOYMENTS, "web")["spec"]["template"]["spec"]["containers"][0]["image"])


async def test_undo_without_a_number_goes_to_the_last_revision_that_was_seen_good() -> None:
    """E13: the template without its hash, our mark, and no way back to the bad revision."""
    kube = cluster()
    does = actions(kube)
    prepared = await does.plan_effect(rollout(Verb.ROLLOUT_UNDO), change_context(good=GOOD))
    assert (prepared.facts["revision"], prepared.facts["to"]) == (2, 1)
    assert prepared.undo.commands == ()
    assert "revision 2 was never seen good" in prepared.undo.note
    result = await does.apply(prepared)
    assert image(kube) == "web:1"
    assert "pod-template-hash" not in kube.at(DEPLOYMENTS, "web")["spec"]["template"]["metadata"]["labels"]
    annotations = kube.at(DEPLOYMENTS, "web")["metadata"]["annotations"]
    assert annotations["kubernetes.io/change-cause"] == "first"
    assert annotations["deployment.kubernetes.io/revision"] == "2"
    assert result.summary == "deployment/web rolled back from revision 2 (image web:2) to 1 (image web:1)"
    assert len(kube.writes) == 1


async def test_the_undo_of_going_back_from_a_good_revision_returns_to_it() -> None:
    """Both were good: a mistaken rollback can be taken back."""
    kube = cluster()
    does = actions(kube)
    prepared = await does.plan_effect(rollout(Verb.ROLLOUT_UNDO), change_context(good=frozenset({"hash-1", "hash-2"})))
    undo = decode(prepared.undo.commands[0])
    assert isinstance(undo, Rollout)
    assert (undo.verb, undo.revision) == (Verb.ROLLOUT_UNDO, 2)


@pytest.mark.parametrize(
    ("revision", "good", "reason"),
    [
        (0, frozenset(), "no earlier revision of deployment/web was seen good"),
        (0, frozenset({"hash-2"}), "no earlier revision of deployment/web was seen good"),
        (7, GOOD, "unable to find specified revision 7 in history: deployment/web has 1, 2"),
        (2, frozenset({"hash-2"}), "is at revision 2 already"),
        (1, frozenset({"hash-2"}), "revision 1 of deployment/web was never seen good"),
    ],
)
async def test_no_way_back_is_refused(revision: int, good: frozenset[str], reason: str) -> None:
    """E13: no revision, the current one, or one that was never good."""
    kube = cluster()
    with pytest.raises(Refused, match=reason):
        await actions(kube).plan_effect(rollout(Verb.ROLLOUT_UNDO, revision), change_context(good=good))
    assert kube.writes == []


async def test_undo_of_a_paused_deployment_is_refused() -> None:
    """kubectl's own rule."""
    kube = cluster()
    kube.at(DEPLOYMENTS, "web")["spec"]["paused"] = True
    with pytest.raises(Refused, match="resume it first"):
        await actions(kube).plan_effect(rollout(Verb.ROLLOUT_UNDO), change_context(good=GOOD))


async def test_undo_of_what_gitops_keeps_is_refused() -> None:
    """B21."""
    kube = cluster()
    kube.at(DEPLOYMENTS, "web")["metadata"]["labels"] = {"argocd.argoproj.io/instance": "shop"}
    with pytest.raises(Refused, match="Argo CD shop"):
        await actions(kube).plan_effect(rollout(Verb.ROLLOUT_UNDO), change_context(good=GOOD))


async def test_a_template_changed_between_intent_and_effect_fails_the_write() -> None:
    """P4: the whole template is tested, not only what is replaced."""
    kube = cluster()
    does = actions(kube)
    prepared = await does.plan_effect(rollout(Verb.ROLLOUT_UNDO), change_context(good=GOOD))
    kube.at(DEPLOYMENTS, "web")["spec"]["template"]["spec"]["priorityClassName"] = "high"
    with pytest.raises(Conflict):
        await does.apply(prepared)
    assert image(kube) == "web:2"


async def test_restart_stamps_the_template_and_is_undone_by_the_former_revision() -> None:
    """The stamp is kubectl's own."""
    kube = cluster()
    does = actions(kube)
    prepared = await does.plan_effect(rollout(Verb.ROLLOUT_RESTART), change_context())
    await does.apply(prepared)
    stamp = kube.at(DEPLOYMENTS, "web")["spec"]["template"]["metadata"]["annotations"][RESTARTED]
    assert stamp == "2026-05-04T12:00:00Z"
    undo = decode(prepared.undo.commands[0])
    assert isinstance(undo, Rollout)
    assert (undo.verb, undo.revision, undo.object.uid) == (Verb.ROLLOUT_UNDO, 2, "uid-web")


def roll(kube: ClusterOfDicts, number: int) -> None:
    """Do what the Deployment controller does after a write: a ReplicaSet for the new template."""
    obj = kube.at(DEPLOYMENTS, "web")
    made = replica_set(number, "ignored")
    stamped = {**obj["spec"]["template"], "metadata": {**obj["spec"]["template"]["metadata"]}}
    stamped["metadata"]["labels"] = {"app": "web", "pod-template-hash": f"hash-{number}"}
    made["spec"]["template"] = stamped
    kube.put(REPLICASETS, made)
    obj["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = str(number)


async def test_the_undo_of_a_restart_goes_back_over_it_although_nothing_is_known_to_be_good() -> None:
    """The two revisions differ in nothing but the stamp."""
    kube = cluster()
    does = actions(kube)
    prepared = await does.plan_effect(rollout(Verb.ROLLOUT_RESTART), change_context())
    await does.apply(prepared)
    roll(kube, 3)
    undo = decode(prepared.undo.commands[0])
    with pytest.raises(Refused, match="never seen good"):
        await does.plan_effect(undo, change_context(phase=Phase.ROLLBACK))
    back = await does.plan_effect(undo, change_context(phase=Phase.UNDO))
    await does.apply(back)
    assert RESTARTED not in kube.at(DEPLOYMENTS, "web")["spec"]["template"]["metadata"].get("annotations", {})
    assert image(kube) == "web:2"


async def test_an_undo_leaves_a_template_alone_that_a_person_has_changed_since() -> None:
    """E17: the digest of what we left is on the object."""
    kube = cluster()
    does = actions(kube)
    prepared = await does.plan_effect(rollout(Verb.ROLLOUT_RESTART), change_context())
    await does.apply(prepared)
    assert kube.at(DEPLOYMENTS, "web")["metadata"]["annotations"][TEMPLATE_ANNOTATION]
    kube.at(DEPLOYMENTS, "web")["spec"]["template"]["spec"]["containers"][0]["image"] = "web:3"
    roll(kube, 3)
    with pytest.raises(Refused, match="changed by another client"):
        await does.plan_effect(decode(prepared.undo.commands[0]), change_context(phase=Phase.UNDO))


async def test_an_undo_leaves_a_workload_alone_that_has_lost_the_mark_of_the_change() -> None:
    """E17: `kubectl replace` with a manifest of its own takes every annotation away."""
    kube = cluster()
    does = actions(kube)
    prepared = await does.plan_effect(rollout(Verb.ROLLOUT_RESTART), change_context())
    await does.apply(prepared)
    roll(kube, 3)
    undo = decode(prepared.undo.commands[0])
    undoing = change_context(phase=Phase.UNDO, undoes=True)
    assert (await does.plan_effect(undo, undoing)).write is not None
    del kube.at(DEPLOYMENTS, "web")["metadata"]["annotations"][RUN_ANNOTATION]
    with pytest.raises(Refused, match="changed by another client"):
        await does.plan_effect(undo, undoing)


async def test_a_rollback_goes_back_over_templates_that_this_run_itself_left() -> None:
    """A patch after a restart is our own; so is a template that was there before the run began."""
    kube = cluster()
    does = actions(kube)
    kube.at(DEPLOYMENTS, "web")["metadata"]["annotations"][TEMPLATE_ANNOTATION] = "left-by-an-earlier-run"
    asked = ObjectName(resource=DEPLOYMENTS, name="web")
    scale = Scale(objects=(asked,), namespace=NAMESPACE, replicas=5)
    patch = Patch(
        object=asked, namespace=NAMESPACE, patch='{"spec":{"template":{"spec":{"priority":1}}}}', kind="merge"
    )
    for command in (scale, rollout(Verb.ROLLOUT_RESTART), patch):
        await does.apply(await does.plan_effect(command, change_context()))
        back = await does.plan_effect(rollout(Verb.ROLLOUT_UNDO), change_context(good=GOOD, phase=Phase.ROLLBACK))
        assert back.facts["to"] == 1


async def test_restart_is_refused_when_paused_or_owned_by_an_operator_but_not_under_gitops() -> None:
    """B21: GitOps tools leave the stamp alone."""
    kube = cluster()
    obj = kube.at(DEPLOYMENTS, "web")
    obj["metadata"]["labels"] = {"argocd.argoproj.io/instance": "shop"}
    assert (await actions(kube).plan_effect(rollout(Verb.ROLLOUT_RESTART), change_context())).write is not None
    obj["metadata"]["ownerReferences"] = [owner("Shop", "main")]
    with pytest.raises(Refused, match="operator Shop/main"):
        await actions(kube).plan_effect(rollout(Verb.ROLLOUT_RESTART), change_context())
    obj["metadata"]["ownerReferences"] = []
    obj["spec"]["paused"] = True
    with pytest.raises(Refused, match="paused"):
        await actions(kube).plan_effect(rollout(Verb.ROLLOUT_RESTART), change_context())


async def test_a_restart_whose_answer_was_lost_is_not_made_twice() -> None:
    """B9, P3."""
    kube = cluster()
    does = actions(kube)
    prepared = await does.plan_effect(rollout(Verb.ROLLOUT_RESTART), change_context())
    kube.lost = OutcomeUnknown("504")
    with pytest.raises(OutcomeUnknown):
        await does.apply(prepared)
    assert await does.probe(prepared) is EffectStatus.DONE


async def test_a_restart_prepared_twice_in_one_run_has_two_marks() -> None:
    """The second one's probe does not take the first for its own."""
    kube = cluster()
    does = actions(kube)
    await does.apply(await does.plan_effect(rollout(Verb.ROLLOUT_RESTART), change_context(path="one")))
    later = NOW + timedelta(minutes=1)
    second = await does.plan_effect(rollout(Verb.ROLLOUT_RESTART), change_context(path="two", now=later))
    assert await does.probe(second) is EffectStatus.NOT_DONE


MARKS = "a && b <c> 2>&1 \u2028\u2029"


async def test_a_template_with_what_html_escapes_is_restarted_and_undone() -> None:
    """The API server compares a tested string with what it writes itself: `\\u0026` for `&`."""
    kube = cluster()
    for obj in (kube.at(DEPLOYMENTS, "web"), kube.at(REPLICASETS, "web-1"), kube.at(REPLICASETS, "web-2")):
        obj["spec"]["template"]["spec"]["containers"][0]["command"] = ["sh", "-c", MARKS]
    does = actions(kube)
    for verb in (Verb.ROLLOUT_PAUSE, Verb.ROLLOUT_RESUME, Verb.ROLLOUT_RESTART, Verb.ROLLOUT_UNDO):
        await does.apply(await does.plan_effect(rollout(verb), change_context(good=GOOD)))
    assert len(kube.writes) == 4
    assert image(kube) == "web:1"
    assert kube.at(DEPLOYMENTS, "web")["spec"]["template"]["spec"]["containers"][0]["command"][2] == MARKS


async def test_pause_and_resume_are_each_others_undo() -> None:
    """And what is so already is not written."""
    kube = cluster()
    does = actions(kube)
    assert (await does.plan_effect(rollout(Verb.ROLLOUT_RESUME), change_context())).already
    paused = await does.plan_effect(rollout(Verb.ROLLOUT_PAUSE), change_context())
    await does.apply(paused)
    assert kube.at(DEPLOYMENTS, "web")["spec"]["paused"] is True
    undo = decode(paused.undo.commands[0])
    assert isinstance(undo, Rollout)
    assert undo.verb is Verb.ROLLOUT_RESUME
    await does.apply(await does.plan_effect(undo, change_context(phase=Phase.UNDO)))
    assert "paused" not in kube.at(DEPLOYMENTS, "web")["spec"]


async def test_a_stateful_set_goes_back_through_its_controller_revisions() -> None:
    """Nulls and the patch directive in a revision are no difference."""
    kube = ClusterOfDicts(
        (STATEFULSETS, stateful_set()),
        (CONTROLLERREVISIONS, controller_revision(1, "db:1")),
        (CONTROLLERREVISIONS, controller_revision(2, "db:2")),
    )
    does = actions(kube)
    with pytest.raises(Refused, match="at revision 2 already"):
        await does.plan_effect(rollout(Verb.ROLLOUT_UNDO, 2, "db"), change_context(good=frozenset({"db-1", "db-2"})))
    prepared = await does.plan_effect(rollout(Verb.ROLLOUT_UNDO, name="db"), change_context(good=frozenset({"db-1"})))
    assert isinstance(prepared.write, PatchWrite)
    paths = {str(each["path"]) for each in prepared.write.operations}
    assert not any(each.startswith("/metadata/annotations/") for each in paths), "it has no annotations to test"
    await does.apply(prepared)
    template = kube.at(STATEFULSETS, "db")["spec"]["template"]
    assert template["spec"]["containers"][0]["image"] == "db:1"
    assert "$patch" not in template


async def test_the_history_says_what_is_current_and_what_is_good() -> None:
    """The columns that expressions see; a ReplicaSet of another Deployment is not part of it."""
    kube = cluster()
    foreign = replica_set(9, "web:9", deployment="other")
    kube.put(REPLICASETS, foreign)
    command = rollout(Verb.ROLLOUT_HISTORY)
    result = await actions(kube).read(command, deadline=change_context().startup, probe_context=ProbeContext(good=GOOD))
    shown = [
        (each["number"], each["good"], each["current"], each["images"], each["cause"])
        for each in named(result)["revisions"]
    ]
    assert shown == [(1, True, False, ["web:1"], "first"), (2, False, True, ["web:2"], "")]
    assert "now at 2, known to be good: 1" in result.summary
    assert named(result)["lastGood"]["number"] == 1


@pytest.mark.parametrize(("good", "number"), [({1, 2, 4}, 2), ({1}, 1), ({4}, None), (set(), None)])
async def test_the_last_good_revision_is_neither_a_bad_one_nor_the_current_one(
    good: set[int], number: int | None
) -> None:
    """P6: nothing is rolled back to a revision that nobody has seen good."""
    kube = ClusterOfDicts(
        (STATEFULSETS, stateful_set(image="db:4")),
        *((CONTROLLERREVISIONS, controller_revision(each, f"db:{each}")) for each in (1, 2, 3, 4)),
    )
    history = rollout(Verb.ROLLOUT_HISTORY, name="db")
    context = ProbeContext(good=frozenset(f"db-{each}" for each in good))
    result = await actions(kube).read(history, deadline=change_context().startup, probe_context=context)
    assert named(result).get("lastGood", {}).get("number") == number


async def test_an_undo_that_expects_another_revision_in_force_is_refused() -> None:
    """Somebody has rolled out another one since it was judged."""
    kube = cluster()
    expects = replace(rollout(Verb.ROLLOUT_UNDO), current=3)
    with pytest.raises(Refused, match="deployment/web is not at revision 3 any more, but at revision 2"):
        await actions(kube).plan_effect(expects, change_context(good=GOOD))
    assert kube.writes == []
    prepared = await actions(kube).plan_effect(replace(expects, current=2), change_context(good=GOOD))
    assert prepared.facts["to"] == 1
