"""More memory for a container that runs: by the pod's `resize`, within what its service allows, known by the amounts, and taken back."""

from typing import Any

import pytest

from kintsugi.actions.actions import Actions
from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.effect_plan import RUN_ANNOTATION, EffectPlan, EffectStatus, PatchWrite
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.commands import CommandProblem, decode, encode, parse, render
from kintsugi.errors import OutcomeUnknown, Refused
from kintsugi.model.command import ObjectName, Patch
from kintsugi.model.max_allowed import NOTHING_ALLOWED, MaxAllowed
from kintsugi.model.records import Phase
from kubeobjects.resources import PODS
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts
from tests.unit.actions.samples import NAMESPACE, change_context, pod

ALLOWED = MaxAllowed(memory="256Mi")


def context(**changes: Any) -> ChangeContext:
    """Return the context of a service that allows more."""
    return change_context(**{"max_allowed": ALLOWED, **changes})


def cluster(**container: object) -> ClusterOfDicts:
    """Return a cluster with one pod of 64Mi."""
    obj = pod()
    obj["spec"]["containers"][0] |= {
        "resources": {"limits": {"memory": "64Mi"}, "requests": {"memory": "32Mi"}},
        **container,
    }
    return ClusterOfDicts((PODS, obj))


def does(kube: ClusterOfDicts) -> Actions:
    """Make the actions on a fake cluster."""
    return Actions(kube, Clients.restricted_to(AddressRule()))


def resize(limit: str = "164Mi", *, index: int = 0, uid: str = "", what: str = "limits/memory") -> Patch:
    """Return the command."""
    patch = f'[{{"op":"replace","path":"/spec/containers/{index}/resources/{what}","value":"{limit}"}}]'
    asked = ObjectName(resource=PODS, name="web-1", uid=uid)
    return Patch(object=asked, namespace=NAMESPACE, patch=patch, kind="json", subresource="resize")


def limit_of(kube: ClusterOfDicts) -> str:
    """Return the limit that stands."""
    return str(kube.at(PODS, "web-1")["spec"]["containers"][0]["resources"]["limits"]["memory"])


async def take_back(kube: ClusterOfDicts, prepared: EffectPlan) -> list[EffectPlan]:
    """Do the undo of a change."""
    plans = []
    for command in prepared.undo.commands:
        plans.append(await does(kube).plan_effect(decode(command), context(phase=Phase.UNDO)))
        await does(kube).apply(plans[-1])
    return plans


async def test_a_limit_is_raised_through_the_subresource_alone_and_taken_back() -> None:
    kube = cluster()
    prepared = await does(kube).plan_effect(resize(), context())
    assert isinstance(prepared.write, PatchWrite)
    assert prepared.write.subresource == "resize"
    assert {"op": "test", "path": "/metadata/uid", "value": "uid-web-1"} in prepared.write.operations
    await does(kube).apply(prepared)
    assert limit_of(kube) == "164Mi"
    assert kube.subresources == ["resize"]
    assert RUN_ANNOTATION not in kube.at(PODS, "web-1")["metadata"].get("annotations", {})
    await take_back(kube, prepared)
    assert limit_of(kube) == "64Mi"
    assert kube.subresources == ["resize"] * 2


async def test_a_raise_whose_answer_was_lost_is_known_by_the_amounts() -> None:
    kube = cluster()
    prepared = await does(kube).plan_effect(resize(), context())
    assert await does(kube).probe(prepared) is EffectStatus.NOT_DONE
    kube.lost = OutcomeUnknown("lost")
    with pytest.raises(OutcomeUnknown):
        await does(kube).apply(prepared)
    assert await does(kube).probe(prepared) is EffectStatus.DONE
    again = await does(kube).plan_effect(resize(), context())
    assert again.already
    assert len(kube.writes) == 1


@pytest.mark.parametrize(
    ("command", "changes", "why"),
    [
        (resize("257Mi"), {}, "maxAllowed.memory of web-service is 256Mi"),
        (resize(), {"max_allowed": NOTHING_ALLOWED}, "web-service declares no maxAllowed.memory"),
        (resize("63Mi"), {}, "never lowers a memory limit"),
        (resize("2", what="limits/cpu"), {}, "more than its memory would be changed"),
        (resize(), {"namespace": "other"}, "is not one of the pods of web-service"),
    ],
)
async def test_an_amount_that_the_service_does_not_allow_is_refused(
    command: Patch, changes: dict[str, Any], why: str
) -> None:
    kube = cluster()
    kube.at(PODS, "web-1")["spec"]["containers"][0]["resources"]["limits"]["cpu"] = "1"
    with pytest.raises(Refused, match=why):
        await does(kube).plan_effect(command, context(**changes))
    assert kube.writes == []


async def test_a_container_that_would_be_restarted_is_left_as_it_is_while_it_is_ready() -> None:
    policy = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]
    kube = cluster(resizePolicy=policy)
    assert not (await does(kube).plan_effect(resize(), context())).already
    kube.at(PODS, "web-1")["status"]["containerStatuses"][0]["ready"] = True
    with pytest.raises(Refused, match="would restart container web"):
        await does(kube).plan_effect(resize(), context())


async def test_a_pod_that_is_gone_needs_no_way_back() -> None:
    kube = cluster()
    prepared = await does(kube).plan_effect(resize(), context())
    await does(kube).apply(prepared)
    kube.objects.clear()
    (back,) = await take_back(kube, prepared)
    assert back.already


async def test_a_limit_that_somebody_has_changed_since_is_not_taken_back() -> None:
    kube = cluster()
    prepared = await does(kube).plan_effect(resize(), context())
    await does(kube).apply(prepared)
    kube.at(PODS, "web-1")["spec"]["containers"][0]["resources"]["limits"]["memory"] = "200Mi"
    with pytest.raises(Refused, match="has been changed since"):
        await take_back(kube, prepared)


def test_a_resize_is_written_as_kubectl_takes_it() -> None:
    line = "kubectl patch pod web-1 --subresource=resize --type=strategic -p '{\"spec\":{}}' -n production"
    command = parse(line)
    assert render(command) == line
    assert decode(encode(command)) == command


@pytest.mark.parametrize("line", ["pod web-1 --subresource=status", "deployment web --subresource=resize"])
def test_no_other_subresource_is_patched(line: str) -> None:
    with pytest.raises(CommandProblem, match="only resize of a pod is"):
        parse(f"kubectl patch {line} -p '{{\"spec\":{{}}}}' -n production")
