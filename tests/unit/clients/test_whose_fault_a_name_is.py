"""A name that does not resolve is that service's fault only where the cluster's own name does (E35)."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_address

import pytest

from kintsugi.actions.actions import Actions
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.clients.resolver import CLUSTER_NAME, Address, Resolver, resolve
from kintsugi.commands import parse
from kintsugi.errors import ProbeFailed, ResolverFailed
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts

pytestmark = pytest.mark.looptime

WITHIN = timedelta(seconds=30)
HOST = "web.production"
NEVER = float("inf")


@dataclass
class Dns:
    """A name server: the seconds until it knows a name; one that is not here it says it does not know, after `silence`."""

    names: Mapping[str, float]
    silence: float = 0.0
    asked: list[str] = field(default_factory=list)

    async def __call__(self, host: str, port: int, *, within: timedelta) -> tuple[Address, ...]:
        self.asked.append(host)
        takes = self.names.get(host, self.silence)
        await asyncio.sleep(min(takes, within.total_seconds()))
        if host not in self.names or takes > within.total_seconds():
            raise ProbeFailed(f"{host} cannot be resolved")
        return (ip_address("10.96.0.10"),)


def now() -> float:
    """Return the time."""
    return asyncio.get_running_loop().time()


async def failure(dns: Dns, within: timedelta = WITHIN) -> ProbeFailed:
    """Resolve the name, and give why that failed."""
    with pytest.raises(ProbeFailed) as failed:
        await Resolver(dns).resolve(HOST, 80, within=within)
    return failed.value


async def test_an_address_is_taken_as_it_is_whatever_the_resolver_is_busy_with() -> None:
    assert await resolve("127.0.0.1", 80, within=timedelta(0)) == (ip_address("127.0.0.1"),)


async def test_a_name_that_resolves_is_asked_for_once() -> None:
    dns = Dns({HOST: 0})
    assert await Resolver(dns).resolve(HOST, 80, within=WITHIN) == (ip_address("10.96.0.10"),)
    assert dns.asked == [HOST]


async def test_a_name_that_does_not_resolve_where_the_clusters_do_is_a_failed_probe() -> None:
    assert not isinstance(await failure(Dns({CLUSTER_NAME: 0.01})), ResolverFailed)


async def test_the_name_server_is_not_asked_where_the_clusters_own_name_does_not_resolve() -> None:
    """Outside of a cluster, or while its DNS is away."""
    why = await failure(Dns({}))
    assert isinstance(why, ResolverFailed)
    assert str(why).startswith(
        f"{HOST} cannot be resolved; the cluster's names do not resolve where the daemon runs either"
    )


@pytest.mark.parametrize("within", [1, 2, 5, 30])
async def test_a_dns_that_does_not_answer_is_found_out_before_the_time_of_the_look_is_over(within: float) -> None:
    """What waits for the answer would else say that the service is silent."""
    assert isinstance(await failure(Dns({}, silence=NEVER), timedelta(seconds=within)), ResolverFailed)
    assert now() < within


async def test_a_name_that_takes_long_where_the_clusters_do_not_has_all_of_its_time() -> None:
    """It is looked up by somebody else, and slowly."""
    dns = Dns({HOST: 25, CLUSTER_NAME: 0.01})
    assert await Resolver(dns).resolve(HOST, 80, within=WITHIN)
    assert now() == pytest.approx(25, abs=0.1)


async def test_many_names_that_fail_at_once_ask_for_the_clusters_once_and_say_so_once() -> None:
    dns, said = Dns({}, silence=0.5), list[str]()
    resolver = Resolver(dns, said.append)
    for _ in range(3):
        ends = await asyncio.gather(
            *(resolver.resolve(f"{each}.production", 80, within=WITHIN) for each in range(20)), return_exceptions=True
        )
        assert {type(end) for end in ends} == {ResolverFailed}
    assert dns.asked.count(CLUSTER_NAME) == 1
    await asyncio.sleep(60)
    with pytest.raises(ResolverFailed):
        await resolver.resolve(HOST, 80, within=WITHIN)
    assert dns.asked.count(CLUSTER_NAME) == 2
    assert said == [f"{CLUSTER_NAME} cannot be resolved"]


async def test_a_name_is_the_services_fault_again_once_the_clusters_resolve() -> None:
    dns, said = Dns({}), list[str]()
    resolver = Resolver(dns, said.append)
    with pytest.raises(ResolverFailed):
        await resolver.resolve(HOST, 80, within=WITHIN)
    dns.names = {CLUSTER_NAME: 0}
    await asyncio.sleep(60)
    with pytest.raises(ProbeFailed) as failed:
        await resolver.resolve(HOST, 80, within=WITHIN)
    assert not isinstance(failed.value, ResolverFailed)
    assert said == [f"{CLUSTER_NAME} cannot be resolved", ""]


@pytest.mark.parametrize(
    "line",
    [
        f"curl http://{HOST}/health",
        f"curl --max-time 2 http://{HOST}/health",
        f"nslookup {HOST}",
        f"nc -z {HOST} 80",
        f"psql -h {HOST} -U app -d app -c 'SELECT 1'",
    ],
)
@pytest.mark.parametrize("silence", [0, NEVER], ids=["no such name", "no answer"])
async def test_every_look_by_name_says_whose_fault_it_is(line: str, silence: float) -> None:
    own, theirs = Dns({}, silence=silence), Dns({CLUSTER_NAME: 0.01}, silence=silence)
    for dns, kind in ((own, True), (theirs, False)):
        clients = Clients.restricted_to(AddressRule(resolver=Resolver(dns)))
        actions = Actions(ClusterOfDicts(), clients)
        with pytest.raises(ProbeFailed) as failed:
            await actions.read(parse(line, namespace="production"), deadline=WITHIN)
        assert isinstance(failed.value, ResolverFailed) is kind
