"""`kubectl set image | env | resources`: what they write, what they refuse, and how they are undone."""

from typing import Any

import pytest

from kintsugi.actions.command_secrets import holds_secret
from kintsugi.commands import decode, encode, parse, render
from kintsugi.errors import CommandError, NotYet
from kubeobjects.resources import DEPLOYMENTS
from tests.unit.actions.changes import Cluster, Object
from tests.unit.actions.samples import NAMESPACE, SECRET_REFERENCE, revision_of, shop


def cluster() -> Cluster:
    """Make a Deployment with the containers migrate, web and proxy, and the ReplicaSet of its revision."""
    made = shop()
    return Cluster(made, revision_of(made))


def containers(kube: Cluster) -> dict[str, Object]:
    """Return the containers by name."""
    pod = kube.at(DEPLOYMENTS, "web")["spec"]["template"]["spec"]
    return {each["name"]: each for each in (*pod["initContainers"], *pod["containers"])}


def env(kube: Cluster, container: str = "web") -> list[dict[str, Any]]:
    """Return a container's variables."""
    found: list[dict[str, Any]] = containers(kube)[container].get("env", [])
    return found


@pytest.mark.parametrize(
    ("command", "undo"),
    [
        ("image deployment/web web=nginx:1.27", "kubectl set image deployment/web web=nginx:1.26 -n production"),
        ("image deployment/web '*=shop:2'", "kubectl set image deployment/web migrate=shop-migrate:7 web=nginx:1.26"),
        ("image deployment/web '*=nginx:1.26'", "kubectl set image deployment/web migrate=shop-migrate:7 proxy="),
        ("env deployment/web TRACE=on", "kubectl set env deployment/web TRACE- -n production"),
        ("env deployment/web LOG_LEVEL=debug -c web", "kubectl rollout undo deployment/web --to-revision=2"),
        ("env deployment/web DB_PASSWORD- -c web", ""),
        (
            "resources deployment/web --limits=memory=512Mi -c web",
            "kubectl set resources deployment/web --limits=memory=256Mi -c web -n production",
        ),
        (
            "resources deployment/web --limits=memory=512Mi --requests=cpu=100m",
            "kubectl patch deployment web --type=json",
        ),
    ],
)
async def test_a_change_of_a_template_is_undone_as_far_as_it_went(command: str, undo: str) -> None:
    """A former value of a variable stands in no undo; kubectl has no word for the removal of an amount."""
    kube = cluster()
    before = containers(kube)
    plan = await kube.make(f"kubectl set {command}")
    assert containers(kube) != before
    assert plan.undo.texts[0].startswith(undo)
    assert "info" not in str((plan.undo, plan.facts))
    await kube.undo(plan)
    assert {name: {"resources": {}, "env": [], **each} for name, each in containers(kube).items()} == {
        name: {"resources": {}, "env": [], **each} for name, each in before.items()
    }


async def test_an_image_is_set_in_its_container_alone_and_told() -> None:
    kube = cluster()
    plan = await kube.make("kubectl set image deployment/web web=nginx:1.27")
    assert {name: each["image"] for name, each in containers(kube).items()} == {
        "migrate": "shop-migrate:7",
        "web": "nginx:1.27",
        "proxy": "envoy:1.30",
    }
    again = await kube.actions.reread(plan)
    assert again.summary == "deployment/web image updated: web from nginx:1.26 to nginx:1.27"


async def test_variables_are_set_in_their_places_and_new_ones_last() -> None:
    """As kubectl orders them; what a variable takes from a Secret stays a reference."""
    kube = cluster()
    plan = await kube.make("kubectl set env deployment/web LOG_LEVEL=debug TRACE=on -c web")
    assert env(kube) == [
        {"name": "LOG_LEVEL", "value": "debug"},
        SECRET_REFERENCE,
        {"name": "TRACE", "value": "on"},
    ]
    assert env(kube, "proxy") == []
    assert "valueFrom" not in str(plan.facts)


async def test_amounts_are_set_beside_the_others() -> None:
    kube = cluster()
    plan = await kube.make("kubectl set resources deployment/web --limits=memory=512Mi --requests=cpu=100m -c web")
    assert containers(kube)["web"]["resources"] == {"limits": {"memory": "512Mi"}, "requests": {"cpu": "100m"}}
    assert "resources" not in containers(kube)["proxy"]
    assert plan.facts["former"] == {"web": {"limits.memory": "256Mi", "requests.cpu": None}}


async def test_a_variable_whose_former_value_nothing_holds_is_not_set() -> None:
    """P8: with a key it would be kept encrypted; a revision that is to hold it may not be made yet."""
    kube = Cluster(shop())
    with pytest.raises(NotYet, match="has no revision yet"):
        await kube.plan("kubectl set env deployment/web LOG_LEVEL-")
    kube.at(DEPLOYMENTS, "web")["spec"]["revisionHistoryLimit"] = 0
    assert "ledger.encryptionKeyFile" in await kube.refusal("kubectl set env deployment/web LOG_LEVEL-")


def test_the_value_of_a_variable_stands_in_no_text() -> None:
    command = parse("kubectl set env deployment/web LOG_LEVEL=debug EMPTY= OLD-", namespace=NAMESPACE)
    assert render(command) == "kubectl set env deployment/web 'LOG_LEVEL=[redacted]' EMPTY= OLD- -n production"
    assert decode(encode(command)) == command


@pytest.mark.parametrize(
    ("change", "secret"),
    [
        ("LOG_LEVEL=debug", False),
        ("DB_PASSWORD-", False),
        ("DB_PASSWORD=hunter22", True),
        ("URL=postgresql://shop:hunter22@db/shop", True),
    ],
)
def test_a_password_in_a_runbook_is_not_carried_out(change: str, secret: bool) -> None:
    """It would stand in the ledger."""
    line = f"kubectl set env deployment/web {change}"
    assert holds_secret(parse(line, namespace=NAMESPACE), written=line) is secret


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("image deployment/web wep=nginx:1.27", 'unable to find container named "wep"'),
        ("env deployment/web A=1 -c wep", "does not have any containers matching 'wep'"),
        ("resources deployment/web --limits=cpu=1 -c 'x*'", "does not have any containers matching"),
    ],
)
async def test_a_container_that_is_not_there_is_refused_with_those_that_are(line: str, why: str) -> None:
    said = await cluster().refusal(f"kubectl set {line}")
    assert why in said
    assert "migrate, web, proxy" in said


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("image deployment/web", "it sets nothing"),
        ("image deployment/web web=", "NAME=VALUE"),
        ("image deployment/web 'web=a b'", "is not an image"),
        ("image deployment/web '*=a:1' web=b:1", "all containers"),
        ("image deployment/web web=a:1 web=b:1", "a key is given twice"),
        ("image pod/web web=a:1", "does not take pod"),
        ("image deployment/web web=a:1 --all", "named one by one"),
        ("env deployment/web", "it sets nothing"),
        ("env deployment/web 1A=x", "not the name of a variable"),
        ("env deployment/web --from=secret/db", "--from is refused"),
        ("env deployment/web --list", "--list is refused"),
        ("resources deployment/web", "it sets nothing"),
        ("resources deployment/web --limits=memory=lots", "is not a quantity"),
        ("resources deployment/web --limits=memory", "NAME=VALUE"),
        ("resources deployment/web --limits=cpu=1,cpu=2", "names a resource twice"),
        ("selector deployment/web a=b", "not a known command"),
    ],
)
def test_a_line_that_cannot_be_meant_is_told_when_the_runbook_is_loaded(line: str, why: str) -> None:
    with pytest.raises(CommandError, match=why):
        parse(f"kubectl set {line}", namespace=NAMESPACE)
