"""Which addresses may be asked, how names are resolved, and whose fault a name is that does not resolve (E6, E35)."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_address
from typing import cast

import pytest

from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import TcpClient
from kintsugi.clients.dns import DnsClient
from kintsugi.clients.resolver import CLUSTER_NAME, Address, Resolver, resolve
from kintsugi.commands import parse
from kintsugi.errors import ProbeFailed, Refused, ResolverFailed
from tests.unit.actions.cluster_of_dicts import actions_on

SOON = timedelta(seconds=5)


NOT_ASKED = """
169.254.169.254 169.254.0.1 fe80::1 fd00:ec2::254 fd00:ec2::23 fd00:c1::a9fe:a9fe 100.100.100.200 168.63.129.16
::ffff:169.254.169.254 64:ff9b::a9fe:a9fe ::a9fe:a9fe 2002:a9fe:a9fe::1 0.0.0.0 :: 224.0.0.1 ff02::1 255.255.255.255
127.0.0.1 127.8.8.8 ::1 ::ffff:127.0.0.1
64:ff9b:1::a9fe:a9fe 64:ff9b:1:a9fe:a9:fe00:: 64:ff9b:1:a9:fe:a9fe:: ::ffff:0:169.254.169.254 2001:0:a9fe:a9fe::1
2001:0:5ef5:79fd:0:0:5601:5601 2001:db8::5efe:169.254.169.254 2001:db8::200:5efe:169.254.169.254
2002:a00:1::5efe:169.254.169.254 fd20:ce::254 240.0.0.1 250.1.2.3 ::ffff:240.0.0.1
"""
ASKED = """
10.96.0.10 192.168.1.1 172.16.0.1 93.184.216.34 fd12::1 2606:2800::1
64:ff9b:1::10.0.0.5 64:ff9b::10.0.0.5 ::ffff:0:10.0.0.5 2001:db8::5efe:10.0.0.5 fd20:ce::1
"""


@pytest.mark.parametrize("address", NOT_ASKED.split())
def test_an_address_that_no_service_has_or_that_leads_to_one_by_a_tunnel_or_a_translator_is_refused(
    address: str,
) -> None:
    """E6: IPv4 in IPv6, and local NAT64 in each of its forms, SIIT, Teredo (server and client), ISATAP, 6to4."""
    assert AddressRule().refusal(ip_address(address))


@pytest.mark.parametrize("address", ASKED.split())
def test_services_and_the_world_may_be_asked(address: str) -> None:
    """Private addresses are what Services have."""
    assert not AddressRule().refusal(ip_address(address))


def test_a_demonstration_may_ask_its_own_loopback_and_nothing_else() -> None:
    """The setting opens one door."""
    rule = AddressRule(allow_loopback=True)
    assert not rule.refusal(ip_address("127.0.0.1"))
    assert rule.refusal(ip_address("169.254.169.254"))


ODDLY = """
169.254.169.254 2852039166 0xa9fea9fe 0251.0376.0251.0376 0xa9.254.43518 127.1 0
metadata.google.internal METADATA.google.internal. localhost
"""


@pytest.mark.parametrize("host", ODDLY.split())
async def test_odd_spellings_are_read_before_they_are_judged(host: str) -> None:
    """E6: decimal, octal, hexadecimal, short forms, names."""
    with pytest.raises(Refused, match="is not asked"):
        await AddressRule().resolve(host, 80, within=SOON)


WEB = b"\x03web\x04test\x00"


class NameServer(asyncio.DatagramProtocol):
    """Knows web.test (10.0.0.7, fd12::7, behind an alias); says of many.test to ask by TCP; answers broken.test wrongly."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer one question."""
        number, question = data[:2], data[12:]
        if question.startswith(b"\x06broken"):
            self.transport.sendto(number + b"\x81\x80\x00\x01\x00\x05\x00\x00\x00\x00" + question, addr)
            return
        if question.startswith(b"\x06silent"):
            return
        if question.startswith(b"\x04many"):
            self.transport.sendto(number + b"\x83\x80\x00\x01\x00\x00\x00\x00\x00\x00" + question, addr)
            return
        if not question.startswith(WEB):
            self.transport.sendto(number + b"\x81\x83\x00\x01\x00\x00\x00\x00\x00\x00" + question, addr)
            return
        (kind,) = struct.unpack_from("!H", question, len(WEB))
        packed = socket.inet_aton("10.0.0.7") if kind == 1 else socket.inet_pton(socket.AF_INET6, "fd12::7")
        alias = b"\xc0\x0c" + struct.pack("!HHIH", 5, 1, 60, 2) + b"\xc0\x0c"
        address = b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(packed)) + packed
        self.transport.sendto(number + b"\x81\x80\x00\x01\x00\x02\x00\x00\x00\x00" + question + alias + address, addr)


MANY = 60


async def answer_by_tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one question with more addresses than a datagram holds; there are none of IPv6."""
    data = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
    number, question = data[:2], data[12:]
    (kind,) = struct.unpack_from("!H", question, len(question) - 4)
    found = [bytes([10, 0, 0, each]) for each in range(MANY)] if kind == 1 else []
    records = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(each)) + each for each in found)
    answer = number + b"\x81\x80\x00\x01" + struct.pack("!H", len(found)) + b"\x00\x00\x00\x00" + question + records
    writer.write(struct.pack("!H", len(answer)) + answer)
    writer.close()


@pytest.fixture
async def name_server(unused_tcp_port: int) -> AsyncIterator[DnsClient]:
    """Run a name server, by UDP and TCP, and return a client that asks servers at its port."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(NameServer, local_addr=("127.0.0.1", unused_tcp_port))
    async with await asyncio.start_server(answer_by_tcp, "127.0.0.1", unused_tcp_port):
        yield DnsClient(AddressRule(allow_loopback=True), unused_tcp_port)
    transport.close()


async def test_a_name_is_resolved_by_the_machine() -> None:
    """Hosts file and all."""
    assert "127.0.0.1" in await DnsClient(AddressRule()).resolve("localhost", within=SOON)


async def test_a_given_server_is_asked_for_both_families(name_server: DnsClient) -> None:
    """Aliases in the answer are passed over."""
    assert await name_server.resolve("web.test", server="127.0.0.1", within=SOON) == ("10.0.0.7", "fd12::7")


async def test_an_answer_that_does_not_fit_into_a_datagram_is_read_by_tcp(name_server: DnsClient) -> None:
    """A headless Service has as many addresses as it has pods."""
    found = await name_server.resolve("many.test", server="127.0.0.1", within=SOON)
    assert found == tuple(f"10.0.0.{each}" for each in range(MANY))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("other.test", "no such name"),
        ("broken.test", "cannot be read"),
        ("a..b", "is not a host's name"),
        (f"{'x' * 64}.test", "is not a host's name"),
    ],
)
async def test_a_server_that_has_no_answer_fails_the_probe(name_server: DnsClient, name: str, reason: str) -> None:
    """With its own word for it."""
    with pytest.raises(ProbeFailed, match=reason):
        await name_server.resolve(name, server="127.0.0.1", within=SOON)


async def test_a_silent_server_fails_the_probe_in_time(name_server: DnsClient) -> None:
    """C7: UDP tells nobody."""
    with pytest.raises(ProbeFailed, match="did not answer"):
        await name_server.resolve("silent.test", server="127.0.0.1", within=timedelta(seconds=1))


async def test_an_open_and_a_closed_port(unused_tcp_port: int) -> None:
    """`open` is a column; a closed port is what nc exits with 1 for."""
    does = actions_on()
    closed = await does.read(parse(f"nc -z 127.0.0.1 {unused_tcp_port}"), deadline=SOON)
    assert closed.names == {"open": False}
    assert closed.failed
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", unused_tcp_port):
        opened = await does.read(parse(f"nc -z 127.0.0.1 {unused_tcp_port} -w 1"), deadline=SOON)
    assert opened.names == {"open": True}
    assert not opened.failed


async def test_a_port_of_a_metadata_service_is_not_knocked_at() -> None:
    """E6 holds for TCP, too."""
    with pytest.raises(Refused):
        await TcpClient(AddressRule()).opens("169.254.169.254", 80, within=SOON)


async def test_nslookup_of_a_name_that_does_not_exist_is_a_failed_probe() -> None:
    """The step is then not met. It is no refusal: the name may have an address later."""
    with pytest.raises(ProbeFailed, match="cannot be resolved"):
        await actions_on().read(parse("nslookup no..host"), deadline=SOON)


async def test_a_server_that_is_asked_is_held_to_the_rule_for_addresses() -> None:
    """E6: also a metadata service answers on port 53."""
    for server in ("169.254.169.254", "127.0.0.1", "metadata.google.internal"):
        with pytest.raises((Refused, ProbeFailed)) as caught:
            await DnsClient(AddressRule()).resolve("web.production", server=server, within=SOON)
        assert "is not asked" in str(caught.value)


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
        actions = actions_on(rule=AddressRule(resolver=Resolver(dns)))
        with pytest.raises(ProbeFailed) as failed:
            await actions.read(parse(line, namespace="production"), deadline=WITHIN)
        assert isinstance(failed.value, ResolverFailed) is kind
