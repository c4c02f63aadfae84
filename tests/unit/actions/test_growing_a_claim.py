"""A larger request of a claim: within what its service allows, never smaller, and without a way back."""

import pytest

from kintsugi.actions.actions import Actions
from kintsugi.actions.effect_plan import EffectStatus
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.errors import OutcomeUnknown, Refused
from kintsugi.model.command import ObjectName, Patch
from kintsugi.model.max_allowed import NOTHING_ALLOWED, MaxAllowed
from kubeobjects.resources import PVCS
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts
from tests.unit.actions.samples import NAMESPACE, change_context

ALLOWED = MaxAllowed(storage="4Gi")


def cluster() -> ClusterOfDicts:
    """Return a cluster with one claim of 1Gi."""
    metadata = {"name": "data", "namespace": NAMESPACE, "uid": "uid-data", "resourceVersion": "7"}
    spec = {"resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "fast"}
    return ClusterOfDicts(
        (PVCS, {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec})
    )


def grown(size: str) -> Patch:
    """Return the command."""
    patch = f'{{"spec":{{"resources":{{"requests":{{"storage":"{size}"}}}}}}}}'
    return Patch(object=ObjectName(resource=PVCS, name="data"), namespace=NAMESPACE, patch=patch)


def does(kube: ClusterOfDicts) -> Actions:
    """Make the actions on a fake cluster."""
    return Actions(kube, Clients.restricted_to(AddressRule()))


async def test_a_claim_grows_and_that_it_cannot_be_taken_back_is_noted() -> None:
    kube = cluster()
    prepared = await does(kube).plan_effect(grown("2Gi"), change_context(max_allowed=ALLOWED))
    await does(kube).apply(prepared)
    assert kube.at(PVCS, "data")["spec"]["resources"]["requests"] == {"storage": "2Gi"}
    assert prepared.undo.commands == ()
    assert prepared.undo.note == "a claim cannot be made smaller: it asked for 1Gi before"


async def test_a_growth_whose_answer_was_lost_is_known_by_its_mark() -> None:
    kube = cluster()
    prepared = await does(kube).plan_effect(grown("2Gi"), change_context(max_allowed=ALLOWED))
    kube.lost = OutcomeUnknown("lost")
    with pytest.raises(OutcomeUnknown):
        await does(kube).apply(prepared)
    assert await does(kube).probe(prepared) is EffectStatus.DONE
    assert (await does(kube).plan_effect(grown("2Gi"), change_context(max_allowed=ALLOWED))).already


@pytest.mark.parametrize(
    ("size", "allowed", "why"),
    [
        ("5Gi", ALLOWED, "maxAllowed.storage of web-service is 4Gi"),
        ("2Gi", NOTHING_ALLOWED, "web-service declares no maxAllowed.storage"),
        ("512Mi", ALLOWED, "cannot be made smaller"),
    ],
)
async def test_an_amount_that_the_service_does_not_allow_is_refused(size: str, allowed: MaxAllowed, why: str) -> None:
    kube = cluster()
    with pytest.raises(Refused, match=why):
        await does(kube).plan_effect(grown(size), change_context(max_allowed=allowed))
    assert kube.writes == []
