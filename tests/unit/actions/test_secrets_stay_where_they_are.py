"""A change whose way back holds a secret names where the secret is, or is not made: the ledger keeps none (E4, P8)."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import orjson
import pytest

from kintsugi.actions.actions import Actions
from kintsugi.actions.effect_plan import EffectPlan, Intent, undone_by
from kintsugi.actions.secret_checks import check_undo, holds_secret
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.commands import decode, encode
from kintsugi.errors import NotYet, Refused
from kintsugi.mask import MASK
from kintsugi.model.command import Command, ObjectName, Patch, SetMetadata, TemplateReference, Verb
from kintsugi.model.records import Phase
from kintsugi.verbs.curl import Curl
from kintsugi.verbs.rollout import Rollout
from kubeobjects.resources import CONTROLLERREVISIONS, CRONJOBS, DEPLOYMENTS, REPLICASETS, STATEFULSETS, Resource
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts
from tests.unit.actions.samples import (
    NAMESPACE,
    change_context,
    controller_revision,
    deployment,
    replica_set,
    stateful_set,
)

CANARY = "canary-in-a-literal"
REPLACE = '[{"op":"replace","path":"/spec/template/spec/containers/0/env","value":[]}]'
UPGRADE = '[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"web:3"}]'


def with_literal(obj: dict[str, Any]) -> dict[str, Any]:
    """Put a literal secret into the environment of an object's container."""
    inner = obj["data"]["spec"] if "data" in obj else obj["spec"]
    inner["template"]["spec"]["containers"][0]["env"] = [{"name": "PLAIN", "value": CANARY}]
    return obj


def cluster() -> ClusterOfDicts:
    """Make a Deployment with a literal secret, and the ReplicaSet that holds its template."""
    return ClusterOfDicts(
        (DEPLOYMENTS, with_literal(deployment())), (REPLICASETS, with_literal(replica_set(2, "web:2")))
    )


def actions(kube: ClusterOfDicts) -> Actions:
    """Make the actions on a fake cluster."""
    return Actions(kube, Clients.restricted_to(AddressRule()))


def patch(content: str, resource: Resource = DEPLOYMENTS, name: str = "web") -> Patch:
    """Make a JSON patch."""
    return Patch(object=ObjectName(resource=resource, name=name), namespace=NAMESPACE, patch=content, kind="json")


def stored(prepared: EffectPlan) -> str:
    """Return all that an intent keeps of a change."""
    kept = [encode(prepared.command), prepared.facts, prepared.undo.commands, prepared.undo.texts, prepared.undo.note]
    return orjson.dumps(kept).decode()


async def take_back(kube: ClusterOfDicts, prepared: EffectPlan) -> None:
    """Do the undo of a change, as it is read from the ledger again."""
    does = actions(kube)
    for command in prepared.undo.commands:
        again = decode(orjson.loads(orjson.dumps(command)))
        await does.apply(await does.plan_effect(again, change_context(phase=Phase.UNDO)))


async def test_a_template_with_a_literal_secret_comes_back_byte_for_byte_and_is_kept_nowhere() -> None:
    kube = cluster()
    before = orjson.dumps(kube.at(DEPLOYMENTS, "web")["spec"])
    does = actions(kube)
    prepared = await does.plan_effect(patch(REPLACE), change_context())
    check_undo(prepared)
    assert CANARY not in stored(prepared)
    assert MASK not in stored(prepared), "what is written back is never masked"
    assert prepared.undo.texts == ("kubectl rollout undo deployment/web --to-revision=2 -n production",)
    await does.apply(prepared)
    assert kube.at(DEPLOYMENTS, "web")["spec"]["template"]["spec"]["containers"][0]["env"] == []
    await take_back(kube, prepared)
    assert orjson.dumps(kube.at(DEPLOYMENTS, "web")["spec"]) == before


async def test_the_template_of_a_stateful_set_comes_back_from_its_controller_revision() -> None:
    kube = ClusterOfDicts(
        (STATEFULSETS, with_literal(stateful_set())),
        (CONTROLLERREVISIONS, with_literal(controller_revision(2, "db:2"))),
    )
    before = deepcopy(kube.at(STATEFULSETS, "db")["spec"])
    does = actions(kube)
    prepared = await does.plan_effect(patch(REPLACE, STATEFULSETS, "db"), change_context())
    assert CANARY not in stored(prepared)
    await does.apply(prepared)
    await take_back(kube, prepared)
    containers = kube.at(STATEFULSETS, "db")["spec"]["template"]["spec"]["containers"]
    assert containers == before["template"]["spec"]["containers"]


async def test_the_other_fields_of_a_patch_come_back_beside_the_template() -> None:
    kube = cluster()
    does = actions(kube)
    wider = orjson.dumps([*orjson.loads(REPLACE), {"op": "add", "path": "/spec/minReadySeconds", "value": 5}]).decode()
    prepared = await does.plan_effect(patch(wider), change_context())
    await does.apply(prepared)
    assert kube.at(DEPLOYMENTS, "web")["spec"]["minReadySeconds"] == 5
    await take_back(kube, prepared)
    assert "minReadySeconds" not in kube.at(DEPLOYMENTS, "web")["spec"]
    assert CANARY in orjson.dumps(kube.at(DEPLOYMENTS, "web")).decode()


async def test_a_change_beside_a_secret_neither_reads_nor_writes_it_down() -> None:
    """Only the image is tested and written, not the list of containers that it stands in."""
    kube = cluster()
    does = actions(kube)
    prepared = await does.plan_effect(patch(UPGRADE), change_context())
    assert prepared.facts["fields"] == ["/spec/template/spec/containers/0/image"]
    assert CANARY not in stored(prepared)
    await does.apply(prepared)
    await take_back(kube, prepared)
    assert kube.at(DEPLOYMENTS, "web")["spec"] == with_literal(deployment())["spec"]


async def test_a_template_that_somebody_has_changed_since_is_left_alone() -> None:
    """E17."""
    kube = cluster()
    does = actions(kube)
    prepared = await does.plan_effect(patch(REPLACE), change_context())
    await does.apply(prepared)
    kube.at(DEPLOYMENTS, "web")["spec"]["template"]["spec"]["containers"][0]["image"] = "web:hotfix"
    with pytest.raises(Refused, match="changed by another client"):
        await take_back(kube, prepared)


@pytest.mark.parametrize(
    ("break_it", "why"),
    [
        (lambda revision: revision["metadata"].update(uid="another"), "is gone"),
        (lambda revision: with_literal(revision)["spec"]["template"]["spec"].update(hostPID=True), "does not hold"),
    ],
)
async def test_a_revision_that_is_another_one_by_now_is_not_written_back(
    break_it: Callable[[dict[str, Any]], object], why: str
) -> None:
    kube = cluster()
    does = actions(kube)
    prepared = await does.plan_effect(patch(REPLACE), change_context())
    await does.apply(prepared)
    break_it(kube.at(REPLICASETS, "web-2"))
    with pytest.raises(Refused, match=why):
        await take_back(kube, prepared)


async def test_a_change_is_refused_where_nothing_but_the_ledger_would_hold_the_former_secret() -> None:
    """A CronJob has no revisions; a Deployment may be told to keep none; and it may not have made one yet."""
    schedule = {
        "kind": "CronJob",
        "metadata": {"name": "tidy", "namespace": NAMESPACE, "uid": "uid-tidy"},
        "spec": {"jobTemplate": with_literal(deployment())},
    }
    kube = ClusterOfDicts((CRONJOBS, schedule))
    path = "/spec/jobTemplate/spec/template/spec/containers/0/env"
    with pytest.raises(Refused, match="no revision holds it"):
        await actions(kube).plan_effect(
            patch(f'[{{"op":"replace","path":"{path}","value":[]}}]', CRONJOBS, "tidy"), change_context()
        )
    forgetful = cluster()
    forgetful.at(DEPLOYMENTS, "web")["spec"]["revisionHistoryLimit"] = 0
    with pytest.raises(Refused, match="keeps no old revisions"):
        await actions(forgetful).plan_effect(patch(REPLACE), change_context())
    early = ClusterOfDicts((DEPLOYMENTS, with_literal(deployment())))
    with pytest.raises(NotYet, match="no revision yet"):
        await actions(early).plan_effect(patch(REPLACE), change_context())


async def test_an_annotation_that_holds_a_secret_is_not_overwritten() -> None:
    obj = deployment()
    obj["metadata"]["annotations"]["note"] = "password: hunter2"
    does = actions(ClusterOfDicts((DEPLOYMENTS, obj)))
    asked = ObjectName(resource=DEPLOYMENTS, name="web")
    mark = SetMetadata(
        verb=Verb.ANNOTATE, objects=(asked,), namespace=NAMESPACE, values={"note": "new"}, overwrite=True
    )
    with pytest.raises(Refused, match="would write a secret into the ledger"):
        check_undo(await does.plan_effect(mark, change_context()))


LITERAL = '{"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"FEATURE","value":"off"}]}]}}}}'


@pytest.mark.parametrize(
    ("command", "written", "holds"),
    [
        (patch(LITERAL), "", True),
        (patch(LITERAL), f"kubectl patch deployment web -p '{LITERAL}'", False),
        (patch(LITERAL.replace('"off"', '"password=hunter2"')), LITERAL.replace('"off"', '"password=hunter2"'), True),
        (patch(UPGRADE), "", False),
        (patch(f'[{{"op":"add","path":"/metadata/annotations/a","value":"{MASK}"}}]'), "", True),
        (Curl(url="http://user:hunter2@web/"), "", True),
        (Rollout(verb=Verb.ROLLOUT_RESTART, object=ObjectName(resource=DEPLOYMENTS, name="token-service"), namespace="x"),
         "", False),
        (Rollout(verb=Verb.ROLLOUT_UNDO, object=ObjectName(resource=DEPLOYMENTS, name="web"), namespace="x", revision=2,
                 template=TemplateReference(uid="8f14e45f-ceea-467f-a9e4-0e1c1e1d6d4f", digest="0123456789abcdef",
                                            over="fedcba9876543210")), "", False),
    ],
)  # fmt: skip
def test_a_command_holds_a_secret_by_its_place_unless_the_runbook_has_it_and_by_its_shape_always(
    command: Command, written: str, *, holds: bool
) -> None:
    assert holds_secret(command, written=written) is holds


def test_no_command_of_a_secret_passes_as_an_undo() -> None:
    back = patch('[{"op":"replace","path":"/spec/template/spec/containers/0/env/0/value","value":"x-y-z"}]')
    prepared = EffectPlan(command=patch(UPGRADE), intent=Intent(uid=""), undo=undone_by(back))
    with pytest.raises(Refused, match="would write a secret into the ledger"):
        check_undo(prepared)
