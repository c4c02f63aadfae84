"""
The remedies for a lack of resources: a memory limit is raised in place, a claim grows, up to the ceiling of the
service.

Pure, and asked by `remedies`. Without a ceiling nothing is raised, and the reason has the command for a person.
"""

import re
from collections.abc import Sequence
from decimal import Decimal

from kintsugi.model.remedies import ClaimSize, ContainerMemory, Remedy, RemedyKind, RevisionFacts, WorkloadState
from kubediagnosis.causes import Cause, Confidence, Diagnosis
from kubeobjects.quantities import quantity, whole

BUMP_UP_RATIO = Decimal("1.2")
MIN_BUMP_UP = 100 * 1024**2
"""
The least amount by which a limit is raised: 100 MiB, or a fifth where that is more.

The VerticalPodAutoscaler adds as much after a container was ended for its memory (`--oom-bump-up-ratio`,
`--oom-min-bump-up-bytes` of its recommender).
"""

GROWTH_RATIO = Decimal("1.5")
"""
The factor by which a claim grows: storage may take one change of a volume in hours, so that a small growth would soon
be too little.
"""

_LIMIT = re.compile(r"containers\[([^\]]+)\]\.resources\.limits\.memory")
_POD, _ENDED = "pod/", ".terminated"
_CLAIM, _FULL = "persistentvolumeclaim/", "status.capacity[storage]"
_MEBI = 1024**2


def raise_memory(diagnosis: Diagnosis, cause: Cause, facts: RevisionFacts, state: WorkloadState) -> Remedy:
    """
    Return what helps containers that were ended at their memory limit: a higher one, of their pods as they are.

    It is temporary: the template is its owner's to change. What asks for as much as its limit goes on to, so that no pod changes its
    class of service, which the API server refuses.
    """
    found = _LIMIT.fullmatch(cause.field)
    if found is None or cause.object != diagnosis.object or cause.confidence is not Confidence.CERTAIN:
        return Remedy(kind=RemedyKind.RESTART, reason=f"a restart may help: {cause.text}")
    container = found[1]
    having = [each for each in state.memory if each.container == container and each.limit]
    killed = _killed(cause, having)
    if not killed:
        return Remedy(kind=RemedyKind.RESTART, reason=f"a restart may help: {cause.text}")
    present = max(killed, key=lambda each: quantity(each.limit))
    ceiling = quantity(state.max_allowed.memory or None)
    wanted = _bumped_up(quantity(present.limit))
    if why := _against(having, quantity(present.limit), ceiling, state):
        by_hand = _by_hand(diagnosis, container, _text(wanted), present)
        return Remedy(kind=RemedyKind.HAND_OVER, reason=f"{why}; {by_hand} would raise the limit: {cause.text}")
    amount = state.max_allowed.memory if wanted >= ceiling else _text(wanted)
    request = _request(present, amount)
    where = f"{cause.field} in the template is unchanged; raise it there with {_by_hand(diagnosis, container, amount, present)}"
    return Remedy(
        kind=RemedyKind.RAISE_MEMORY,
        reason=f"its limit of {present.limit} is raised to {amount} until its pods are replaced; {where}: {cause.text}",
        name=container,
        amount=amount,
        request=request,
        pods=tuple(each.pod for each in having if quantity(each.limit) < quantity(amount)),
    )


def grow_claim(diagnosis: Diagnosis, cause: Cause, facts: RevisionFacts, state: WorkloadState) -> Remedy:
    """Return what helps a claim that is full: more of it once a person agrees, for it cannot be made smaller again."""
    name = cause.object.removeprefix(_CLAIM)
    found = next((each for each in state.claims if each.name == name and each.capacity), None)
    if cause.field != _FULL or found is None:
        return Remedy(kind=RemedyKind.HAND_OVER, reason=f"a restart does not help: {cause.text}")
    present, ceiling = quantity(found.capacity), quantity(state.max_allowed.storage or None)
    wanted = present * GROWTH_RATIO
    amount = state.max_allowed.storage if 0 < ceiling <= wanted else _text(wanted)
    if why := _against_growth(found, present, ceiling, state):
        by_hand = _growing(diagnosis, name, _text(wanted))
        return Remedy(kind=RemedyKind.HAND_OVER, reason=f"{why}; {by_hand} would enlarge the claim: {cause.text}")
    why = f"from {found.capacity} to {amount}; a claim cannot be made smaller again"
    return Remedy(kind=RemedyKind.GROW_CLAIM_ASKED, reason=f"{why}: {cause.text}", name=name, amount=amount)


def _against_growth(found: ClaimSize, present: Decimal, ceiling: Decimal, state: WorkloadState) -> str:
    """Return why a claim does not grow, "" where it may."""
    if not ceiling:
        return "the claim does not grow, since its service declares no maxAllowed.storage"
    if found.grows is not True:
        said = "does not allow" if found.grows is False else "may not allow"
        return f"the claim does not grow, since its StorageClass {said} expansion"
    if present >= ceiling:
        return f"the claim does not grow above its service's maxAllowed.storage of {state.max_allowed.storage}"
    if quantity(found.requested or None) > present:
        return f"the claim already requests {found.requested}, but does not have this size"
    if RemedyKind.GROW_CLAIM_ASKED in state.tried:
        return "the claim was already enlarged for this cause, which did not help"
    return ""


def _growing(diagnosis: Diagnosis, name: str, amount: str) -> str:
    """Return the command that lets a claim grow."""
    patch = f'{{"spec":{{"resources":{{"requests":{{"storage":"{amount}"}}}}}}}}'
    return f"kubectl patch pvc {name} -p '{patch}' -n {diagnosis.namespace}"


def _killed(cause: Cause, having: Sequence[ContainerMemory]) -> list[ContainerMemory]:
    """Return what the pods have that show the cause."""
    shown = {each.object.removeprefix(_POD) for each in cause.evidence if each.field.endswith(_ENDED)}
    return [each for each in having if each.pod in shown]


def _against(having: Sequence[ContainerMemory], present: Decimal, ceiling: Decimal, state: WorkloadState) -> str:
    """Return why no limit is raised, "" where it may be."""
    if not ceiling:
        return "the limit is not raised, since its service declares no maxAllowed.memory"
    if pending := next((each.pending for each in having if each.pending), ""):
        return f"the limit is not raised, since the kubelet has not applied an earlier change ({pending})"
    if present >= ceiling:
        return f"the limit is not raised above its service's maxAllowed.memory of {state.max_allowed.memory}"
    if RemedyKind.RAISE_MEMORY in state.tried:
        return "the limit was already raised for this cause, which did not help"
    return ""


def _bumped_up(present: Decimal) -> Decimal:
    return max(present * BUMP_UP_RATIO, present + MIN_BUMP_UP)


def _text(amount: Decimal) -> str:
    """Return an amount in whole mebibytes, rounded up."""
    return f"{whole(amount / _MEBI)}Mi"


def _request(present: ContainerMemory, amount: str) -> str:
    """Return what a container asks for beside a limit of so much."""
    return amount if quantity(present.request or None) == quantity(present.limit) else present.request


def _by_hand(diagnosis: Diagnosis, container: str, amount: str, present: ContainerMemory) -> str:
    """Return the command that raises the limit where it lasts."""
    request = _request(present, amount)
    requests = f" --requests=memory={request}" if request == amount else ""
    place = f"-c {container} --limits=memory={amount}{requests} -n {diagnosis.namespace}"
    return f"kubectl set resources {diagnosis.object} {place}"
