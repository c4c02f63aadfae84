"""`kubectl set image | env | resources`: what they write, what they refuse, how they are taken back and looked for."""

from collections.abc import Mapping
from typing import Any

import pytest

from kintsugi.actions.actions import Actions
from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.effect_plan import EffectPlan, EffectStatus
from kintsugi.actions.secret_checks import check_undo, holds_secret
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.commands import decode, encode, parse, render
from kintsugi.errors import CommandError, NotYet, OutcomeUnknown, Refused
from kintsugi.model.records import Phase
from kubeobjects.resources import DEPLOYMENTS, REPLICASETS
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts
from tests.unit.actions.samples import change_context, deployment, owner, replica_set

SECRET = {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}


def actions(kube: ClusterOfDicts) -> Actions:
    """Make the actions on a fake cluster."""
    return Actions(kube, Clients.restricted_to(AddressRule()))


def shop(**metadata: object) -> dict[str, Any]:
    """Make a Deployment with an init container, the container `web`, and a sidecar."""
    made = deployment(image="nginx:1.26")
    made["metadata"] |= metadata
    web = made["spec"]["template"]["spec"]["containers"][0]
    web["resources"] = {"limits": {"memory": "256Mi"}}
    web["env"] = [{"name": "LOG_LEVEL", "value": "info"}, SECRET]
    made["spec"]["template"]["spec"]["containers"].append({"name": "proxy", "image": "envoy:1.30"})
    made["spec"]["template"]["spec"]["initContainers"] = [{"name": "migrate", "image": "shop-migrate:7"}]
    return made


def cluster(obj: dict[str, Any] | None = None) -> ClusterOfDicts:
    """Make a cluster with that Deployment and the ReplicaSet of its revision."""
    obj = obj or shop()
    holder = replica_set(2, "nginx:1.26")
    holder["spec"]["template"]["spec"] = obj["spec"]["template"]["spec"]
    return ClusterOfDicts((DEPLOYMENTS, obj), (REPLICASETS, holder))


async def planned(kube: ClusterOfDicts, line: str, context: ChangeContext | None = None) -> EffectPlan:
    """Judge a line."""
    return await actions(kube).plan_effect(parse(line, namespace="production"), context or change_context())


async def made(kube: ClusterOfDicts, line: str) -> EffectPlan:
    """Judge a line and make the change, as the executor does."""
    plan = await planned(kube, line)
    check_undo(plan)
    assert await actions(kube).probe(plan) is EffectStatus.NOT_DONE
    await actions(kube).apply(plan)
    assert await actions(kube).probe(plan) is EffectStatus.DONE
    return plan


async def taken_back(kube: ClusterOfDicts, plan: EffectPlan) -> None:
    """Take a change back by the commands that were written down."""
    for command in plan.undo.commands:
        await actions(kube).apply(await actions(kube).plan_effect(decode(command), change_context(phase=Phase.UNDO)))


def containers(kube: ClusterOfDicts) -> Mapping[str, dict[str, Any]]:
    """Return the containers by name."""
    pod = kube.at(DEPLOYMENTS, "web")["spec"]["template"]["spec"]
    return {each["name"]: each for each in (*pod["initContainers"], *pod["containers"])}


def env(kube: ClusterOfDicts, container: str = "web") -> list[dict[str, Any]]:
    """Return a container's variables."""
    found: list[dict[str, Any]] = containers(kube)[container].get("env", [])
    return found


async def test_an_image_is_set_and_the_former_one_is_its_undo() -> None:
    kube = cluster()
    plan = await made(kube, "kubectl set image deployment/web web=nginx:1.27")
    assert {name: each["image"] for name, each in containers(kube).items()} == {
        "migrate": "shop-migrate:7",
        "web": "nginx:1.27",
        "proxy": "envoy:1.30",
    }
    assert plan.undo.texts == ("kubectl set image deployment/web web=nginx:1.26 -n production",)
    again = await actions(kube).reread(plan)
    assert again.summary == "deployment/web image updated: web from nginx:1.26 to nginx:1.27"
    await taken_back(kube, plan)
    assert containers(kube)["web"]["image"] == "nginx:1.26"


async def test_a_star_sets_the_image_of_every_container_and_each_comes_back() -> None:
    kube = cluster()
    before = dict(containers(kube))
    plan = await made(kube, "kubectl set image deployment web '*=shop:2'")
    assert {each["image"] for each in containers(kube).values()} == {"shop:2"}
    await taken_back(kube, plan)
    assert containers(kube) == before


async def test_a_template_that_is_so_already_is_not_written() -> None:
    kube = cluster()
    for line in (
        "kubectl set image deployment/web web=nginx:1.26",
        "kubectl set env deployment/web LOG_LEVEL=info -c web",
        "kubectl set resources deployment/web --limits=memory=256Mi -c web",
    ):
        plan = await planned(kube, line)
        assert plan.already
        assert plan.undo.commands == ()


CHANGES = (
    "kubectl set image deployment/web web=nginx:1.27",
    "kubectl set env deployment/web TRACE=on",
    "kubectl set resources deployment/web --limits=memory=512Mi -c web",
)


@pytest.mark.parametrize("line", CHANGES)
@pytest.mark.parametrize(
    "metadata",
    [
        {"labels": {"argocd.argoproj.io/instance": "shop"}},
        {"ownerReferences": [owner("Shop", "main")]},
    ],
    ids=["gitops", "operator"],
)
async def test_the_template_of_somebody_else_is_not_changed(line: str, metadata: Mapping[str, object]) -> None:
    """B21."""
    kube = cluster(shop(**metadata))
    with pytest.raises(Refused, match="would be reverted"):
        await planned(kube, line)
    assert kube.writes == []


@pytest.mark.parametrize("line", CHANGES)
async def test_a_template_that_somebody_has_changed_since_is_not_taken_back(line: str) -> None:
    """E17."""
    kube = cluster()
    plan = await made(kube, line)
    for each in kube.at(DEPLOYMENTS, "web")["spec"]["template"]["spec"]["containers"]:
        each["image"] = "by-a-person:1"
        each["env"] = [{"name": "TRACE", "value": "by a person"}]
        each["resources"] = {"limits": {"memory": "1Gi"}}
    with pytest.raises(Refused, match="changed by another client since"):
        await taken_back(kube, plan)


@pytest.mark.parametrize("line", CHANGES)
async def test_a_judged_template_that_is_changed_before_the_write_is_not_written(line: str) -> None:
    """B12: the one write tests every field that was judged."""
    kube = cluster()
    plan = await planned(kube, line)
    kube.at(DEPLOYMENTS, "web")["spec"]["template"]["spec"]["containers"].reverse()
    with pytest.raises(Exception, match="a field is not as it was judged"):
        await actions(kube).apply(plan)
    assert kube.writes == []


@pytest.mark.parametrize("line", CHANGES)
async def test_a_change_whose_answer_is_lost_is_known_by_its_mark(line: str) -> None:
    kube = cluster()
    plan = await planned(kube, line)
    kube.lost = OutcomeUnknown("the connection broke")
    with pytest.raises(OutcomeUnknown):
        await actions(kube).apply(plan)
    assert await actions(kube).probe(plan) is EffectStatus.DONE


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("kubectl set image deployment/web wep=nginx:1.27", 'unable to find container named "wep"'),
        ("kubectl set env deployment/web A=1 -c wep", "does not have any containers matching 'wep'"),
        ("kubectl set resources deployment/web --limits=cpu=1 -c 'x*'", "does not have any containers matching"),
    ],
)
async def test_a_container_that_is_not_there_is_refused_with_those_that_are(line: str, why: str) -> None:
    with pytest.raises(Refused, match=why) as refused:
        await planned(cluster(), line)
    assert "migrate, web, proxy" in str(refused.value)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("kubectl set image deployment/web", "it sets nothing"),
        ("kubectl set image deployment/web web=", "NAME=VALUE"),
        ("kubectl set image deployment/web 'web=a b'", "is not an image"),
        ("kubectl set image deployment/web '*=a:1' web=b:1", "all containers"),
        ("kubectl set image deployment/web web=a:1 web=b:1", "a key is given twice"),
        ("kubectl set image pod/web web=a:1", "does not take pod"),
        ("kubectl set image deployment/web web=a:1 --all", "named one by one"),
        ("kubectl set env deployment/web", "it sets nothing"),
        ("kubectl set env deployment/web 1A=x", "not the name of a variable"),
        ("kubectl set env deployment/web --from=secret/db", "--from is refused"),
        ("kubectl set env deployment/web --list", "--list is refused"),
        ("kubectl set resources deployment/web", "it sets nothing"),
        ("kubectl set resources deployment/web --limits=memory=lots", "is not a quantity"),
        ("kubectl set resources deployment/web --limits=memory", "NAME=VALUE"),
        ("kubectl set resources deployment/web --limits=cpu=1,cpu=2", "names a resource twice"),
        ("kubectl set selector deployment/web a=b", "not a known command"),
    ],
)
def test_a_line_that_cannot_be_meant_is_told_when_the_runbook_is_loaded(line: str, why: str) -> None:
    with pytest.raises(CommandError, match=why):
        parse(line, namespace="production")


async def test_variables_are_set_in_their_places_and_new_ones_last() -> None:
    """As kubectl orders them; what a variable takes from a Secret stays a reference."""
    kube = cluster()
    plan = await made(kube, "kubectl set env deployment/web LOG_LEVEL=debug TRACE=on -c web")
    assert env(kube) == [
        {"name": "LOG_LEVEL", "value": "debug"},
        SECRET,
        {"name": "TRACE", "value": "on"},
    ]
    assert env(kube, "proxy") == []
    assert "valueFrom" not in str(plan.facts)


async def test_a_variable_that_was_not_there_is_removed_again() -> None:
    kube = cluster()
    plan = await made(kube, "kubectl set env deployment/web TRACE=on")
    assert [each["name"] for each in env(kube, "migrate")] == ["TRACE"]
    assert plan.undo.texts == ("kubectl set env deployment/web TRACE- -n production",)
    await taken_back(kube, plan)
    assert env(kube) == [{"name": "LOG_LEVEL", "value": "info"}, SECRET]
    assert env(kube, "migrate") == []


async def test_a_former_value_stands_in_no_undo_but_in_the_revision_that_it_names() -> None:
    kube = cluster()
    before = env(kube)
    plan = await made(kube, "kubectl set env deployment/web LOG_LEVEL=debug -c web")
    assert plan.undo.texts == ("kubectl rollout undo deployment/web --to-revision=2 -n production",)
    assert "info" not in str((plan.undo, plan.facts))
    await taken_back(kube, plan)
    assert env(kube) == before


async def test_a_variable_whose_former_value_nothing_holds_is_not_set() -> None:
    """P8: with a key it would be kept encrypted."""
    without = shop()
    without["spec"]["revisionHistoryLimit"] = 0
    kube = cluster(without)
    with pytest.raises(Refused, match=r"ledger\.encryptionKeyFile"):
        await planned(kube, "kubectl set env deployment/web LOG_LEVEL-")
    assert kube.writes == []


async def test_a_variable_is_not_set_while_the_revision_that_is_to_hold_its_value_is_not_made_yet() -> None:
    kube = ClusterOfDicts((DEPLOYMENTS, shop()))
    with pytest.raises(NotYet, match="has no revision yet"):
        await planned(kube, "kubectl set env deployment/web LOG_LEVEL-")


async def test_a_reference_that_is_removed_is_written_back_as_one() -> None:
    """It says where the secret is, and holds none."""
    kube = cluster()
    before = env(kube)
    plan = await made(kube, "kubectl set env deployment/web DB_PASSWORD- -c web")
    assert [each["name"] for each in env(kube)] == ["LOG_LEVEL"]
    await taken_back(kube, plan)
    assert env(kube) == before


def test_the_value_of_a_variable_stands_in_no_text() -> None:
    command = parse("kubectl set env deployment/web LOG_LEVEL=debug EMPTY= OLD-", namespace="production")
    assert render(command) == ("kubectl set env deployment/web 'LOG_LEVEL=[redacted]' EMPTY= OLD- -n production")
    assert decode(encode(command)) == command


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ("kubectl set env deployment/web LOG_LEVEL=debug", False),
        ("kubectl set env deployment/web DB_PASSWORD-", False),
        ("kubectl set env deployment/web DB_PASSWORD=hunter22", True),
        ("kubectl set env deployment/web URL=postgresql://shop:hunter22@db/shop", True),
    ],
)
def test_a_password_in_a_runbook_is_not_carried_out(line: str, secret: bool) -> None:
    """It would stand in the ledger."""
    assert holds_secret(parse(line, namespace="production"), written=line) is secret


async def test_amounts_are_set_beside_the_others_and_the_former_ones_are_the_undo() -> None:
    kube = cluster()
    plan = await made(kube, "kubectl set resources deployment/web --limits=memory=512Mi -c web")
    assert containers(kube)["web"]["resources"] == {"limits": {"memory": "512Mi"}}
    assert "resources" not in containers(kube)["proxy"]
    assert plan.undo.texts == ("kubectl set resources deployment/web --limits=memory=256Mi -c web -n production",)
    assert plan.facts["former"] == {"web": {"limits.memory": "256Mi"}}
    await taken_back(kube, plan)
    assert containers(kube)["web"]["resources"] == {"limits": {"memory": "256Mi"}}


async def test_an_amount_that_was_not_there_is_removed_again_by_a_patch() -> None:
    """kubectl has no word for it: an amount of 0 is another thing than none."""
    kube = cluster()
    before = {name: each.get("resources") for name, each in containers(kube).items()}
    plan = await made(kube, "kubectl set resources deployment/web --limits=memory=512Mi --requests=cpu=100m")
    assert {str(each["resources"]["requests"]) for each in containers(kube).values()} == {"{'cpu': '100m'}"}
    assert plan.undo.texts[0].startswith("kubectl patch deployment web --type=json")
    await taken_back(kube, plan)
    assert {name: each.get("resources") for name, each in containers(kube).items()} == before


async def test_a_way_back_goes_no_further_than_what_was_changed() -> None:
    """Of `*` only those containers are set back that had something else."""
    kube = cluster()
    plan = await made(kube, "kubectl set image deployment/web '*=nginx:1.26'")
    assert "web=" not in plan.undo.texts[0]
    assert "migrate=shop-migrate:7 proxy=envoy:1.30" in plan.undo.texts[0]
