"""The five services of the shipped rules on a real Kubernetes, for real: what depends on what, and that it shows."""

import pytest

from tests.harness.stack import Fault, ServiceStack, Tier

BEHIND_THE_DATABASE = (Tier.API, Tier.WEB, Tier.INGRESS)


@pytest.mark.parametrize("fault", [Fault.CRASH_LOOP, Fault.STUCK])
def test_the_services_behind_the_database_go_down_after_it_level_by_level(stack: ServiceStack, fault: Fault) -> None:
    """
    Nothing is recovered by itself; mended, the database brings all of them back.

    Its own kubelet and the API that asks it learn of it at the same time.
    """
    stack.break_(Tier.DATABASE, fault)
    stack.until_down(Tier.DATABASE, *BEHIND_THE_DATABASE, within=120)

    order = [stack.timeline.down(tier) for tier in BEHIND_THE_DATABASE]
    went = [each for each in order if each is not None]
    assert order == sorted(went), str(stack.timeline)
    assert stack.is_up(Tier.CACHE)

    stack.mend(Tier.DATABASE)
    stack.until_up(*Tier, within=120)
