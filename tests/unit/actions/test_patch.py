"""`kubectl patch | label | annotate`: each undone field by field; claims and limits grow within what their service allows."""

from collections.abc import Mapping
from typing import Any

import pytest

from kintsugi.actions.effect_plan import RUN_ANNOTATION, EffectStatus, PatchWrite
from kintsugi.commands import CommandProblem, decode, encode, parse, render
from kintsugi.model.services import NOTHING_ALLOWED, MaxAllowed
from kubeobjects.resources import DEPLOYMENTS, PODS, PVCS, PVS
from tests.unit.actions.changes import Cluster, Object
from tests.unit.actions.samples import claim, deployment, pod, volume


def of_labels(**labels: str) -> Cluster:
    """Make a Deployment with these labels."""
    made = deployment()
    made["metadata"]["labels"] = labels
    return Cluster(made)


def labels_of(kube: Cluster) -> dict[str, str]:
    """Return them as they are now."""
    labels: dict[str, str] = kube.at(DEPLOYMENTS, "web")["metadata"]["labels"]
    return labels


async def test_labels_are_set_and_removed_and_put_back() -> None:
    """The former values are in the undo."""
    kube = of_labels(tier="front", old="yes")
    plan = await kube.make("kubectl label deployment web tier=back new=1 old- --overwrite")
    assert plan.facts["former"] == {"tier": "front", "old": "yes", "new": None}
    assert labels_of(kube) == {"tier": "back", "new": "1"}
    await kube.undo(plan)
    assert labels_of(kube) == {"tier": "front", "old": "yes"}


async def test_the_last_label_comes_back_although_the_api_keeps_no_empty_map() -> None:
    """As the real API server does."""
    kube = of_labels(tier="front")
    plan = await kube.make("kubectl label deployment web tier-")
    del kube.at(DEPLOYMENTS, "web")["metadata"]["labels"]
    await kube.undo(plan)
    assert labels_of(kube) == {"tier": "front"}


@pytest.mark.parametrize(("verb", "kind"), [("label", "labels"), ("annotate", "annotations")])
async def test_the_first_mark_of_an_object_is_put_back_beside_our_own(verb: str, kind: str) -> None:
    """Our annotation comes with the change, into a map that was not there."""
    made = deployment()
    del made["metadata"]["annotations"]
    kube = Cluster(made)
    plan = await kube.make(f"kubectl {verb} deployment web incident=i-1")
    assert kube.at(DEPLOYMENTS, "web")["metadata"][kind]["incident"] == "i-1"
    assert await kube.actions.probe(plan) is EffectStatus.DONE
    await kube.undo(plan)
    assert "incident" not in kube.at(DEPLOYMENTS, "web")["metadata"][kind]


async def test_a_label_is_not_overwritten_without_saying_so() -> None:
    """kubectl's own rule."""
    kube = of_labels(tier="front")
    assert "already has a value" in await kube.refusal("kubectl label deployment web tier=back")
    assert (await kube.plan("kubectl label deployment web tier=front")).already


RETAIN = '{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}'
REPLACE = '[{"op":"replace","path":"/spec/persistentVolumeReclaimPolicy","value":"Retain"}]'


@pytest.mark.parametrize(("kind", "content"), [("strategic", RETAIN), ("merge", RETAIN), ("json", REPLACE)])
async def test_a_patch_is_undone_field_by_field(kind: str, content: str) -> None:
    """Whatever its kind, what is written and undone is the difference that it makes."""
    kube = Cluster(volume("Delete"))
    line = f"kubectl patch pv pv-1 --type={kind} -p '{content}'"
    assert await kube.refusal(line) == "", "a dry run is no write"
    plan = await kube.make(line)
    assert plan.facts["fields"] == ["/spec/persistentVolumeReclaimPolicy"]
    assert kube.at(PVS, "pv-1")["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    await kube.undo(plan)
    assert kube.at(PVS, "pv-1")["spec"]["persistentVolumeReclaimPolicy"] == "Delete"


def growth(size: str) -> str:
    """Return the command that has the claim grow."""
    return f'kubectl patch pvc data -p \'{{"spec":{{"resources":{{"requests":{{"storage":"{size}"}}}}}}}}\''


def resize(limit: str = "164Mi", what: str = "limits/memory") -> str:
    """Return the command that gives a container that runs another limit."""
    operation = f'{{"op":"replace","path":"/spec/containers/0/resources/{what}","value":"{limit}"}}'
    return f"kubectl patch pod web-1 --subresource=resize --type=json -p '[{operation}]'"


ALLOWED = MaxAllowed(storage="4Gi", memory="256Mi")


def small(**container: object) -> Cluster:
    """Make a pod of 64Mi and a claim of 1Gi."""
    made = pod()
    limits = {"limits": {"memory": "64Mi", "cpu": "1"}, "requests": {"memory": "32Mi"}}
    made["spec"]["containers"][0] |= {"resources": limits, **container}
    return Cluster(made, claim())


def first(kube: Cluster) -> Object:
    """Return the container as it is now."""
    container: Object = kube.at(PODS, "web-1")["spec"]["containers"][0]
    return container


async def test_a_claim_grows_and_that_it_cannot_be_taken_back_is_noted() -> None:
    kube = small()
    plan = await kube.make(growth("2Gi"), max_allowed=ALLOWED)
    assert kube.at(PVCS, "data")["spec"]["resources"]["requests"] == {"storage": "2Gi"}
    assert (plan.undo.commands, plan.undo.note) == ((), "a claim cannot be made smaller: it asked for 1Gi before")


@pytest.mark.parametrize(
    ("command", "about", "why"),
    [
        (growth("5Gi"), {}, "maxAllowed.storage of web-service is 4Gi"),
        (growth("2Gi"), {"max_allowed": NOTHING_ALLOWED}, "web-service declares no maxAllowed.storage"),
        (growth("512Mi"), {}, "cannot be made smaller"),
        (resize("257Mi"), {}, "maxAllowed.memory of web-service is 256Mi"),
        (resize(), {"max_allowed": NOTHING_ALLOWED}, "web-service declares no maxAllowed.memory"),
        (resize("63Mi"), {}, "never lowers a memory limit"),
        (resize("2", "limits/cpu"), {}, "more than its memory would be changed"),
        (resize(), {"namespace": "other"}, "is not one of the pods of web-service"),
    ],
)
async def test_an_amount_that_the_service_does_not_allow_is_refused(
    command: str, about: Mapping[str, Any], why: str
) -> None:
    assert why in await small().refusal(command, **{"max_allowed": ALLOWED, **about})


async def test_a_limit_is_raised_through_the_subresource_alone_and_taken_back() -> None:
    kube = small()
    plan = await kube.make(resize(), max_allowed=ALLOWED)
    assert isinstance(plan.write, PatchWrite)
    assert plan.write.subresource == "resize"
    assert {"op": "test", "path": "/metadata/uid", "value": "uid-web-1"} in plan.write.operations
    assert first(kube)["resources"]["limits"]["memory"] == "164Mi"
    assert RUN_ANNOTATION not in kube.at(PODS, "web-1")["metadata"].get("annotations", {})
    await kube.undo(plan, max_allowed=ALLOWED)
    assert first(kube)["resources"]["limits"]["memory"] == "64Mi"
    assert kube.subresources == ["resize"] * 2
    kube.objects.clear()
    (back,) = await kube.undo(plan, max_allowed=ALLOWED)
    assert back.already, "a pod that is gone needs no way back"


async def test_a_container_that_would_be_restarted_is_left_as_it_is_while_it_is_ready() -> None:
    kube = small(resizePolicy=[{"resourceName": "memory", "restartPolicy": "RestartContainer"}])
    assert not (await kube.plan(resize(), max_allowed=ALLOWED)).already
    kube.at(PODS, "web-1")["status"]["containerStatuses"][0]["ready"] = True
    assert "would restart container web" in await kube.refusal(resize(), max_allowed=ALLOWED)


def test_a_resize_is_written_as_kubectl_takes_it() -> None:
    line = "kubectl patch pod web-1 --subresource=resize --type=strategic -p '{\"spec\":{}}' -n production"
    command = parse(line)
    assert render(command) == line
    assert decode(encode(command)) == command


@pytest.mark.parametrize("line", ["pod web-1 --subresource=status", "deployment web --subresource=resize"])
def test_no_other_subresource_is_patched(line: str) -> None:
    with pytest.raises(CommandProblem, match="only resize of a pod is"):
        parse(f"kubectl patch {line} -p '{{\"spec\":{{}}}}' -n production")
