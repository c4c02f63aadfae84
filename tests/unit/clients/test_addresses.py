"""Probes cannot be led to metadata services, to the daemon itself, or to no host at all (E6)."""

from datetime import timedelta
from ipaddress import ip_address

import pytest

from kintsugi.clients.addresses import AddressRule
from kintsugi.errors import ProbeFailed, Refused

SOON = timedelta(seconds=5)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.0.1",
        "fe80::1",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd00:c1::a9fe:a9fe",
        "100.100.100.200",
        "168.63.129.16",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "127.0.0.1",
        "127.8.8.8",
        "::1",
        "::ffff:127.0.0.1",
    ],
)
def test_an_address_that_no_service_has_is_refused(address: str) -> None:
    """Also when IPv4 hides in IPv6."""
    assert AddressRule().refusal(ip_address(address))


@pytest.mark.parametrize(
    "address", ["10.96.0.10", "192.168.1.1", "172.16.0.1", "93.184.216.34", "fd12::1", "2606:2800::1"]
)
def test_services_and_the_world_may_be_asked(address: str) -> None:
    """Private addresses are what Services have."""
    assert not AddressRule().refusal(ip_address(address))


def test_a_demonstration_may_ask_its_own_loopback_and_nothing_else() -> None:
    """The setting opens one door."""
    rule = AddressRule(allow_loopback=True)
    assert not rule.refusal(ip_address("127.0.0.1"))
    assert rule.refusal(ip_address("169.254.169.254"))


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "0xa9.254.43518",
        "metadata.google.internal",
        "METADATA.google.internal.",
        "localhost",
        "127.1",
        "0",
    ],
)
async def test_odd_spellings_are_read_before_they_are_judged(host: str) -> None:
    """E6: decimal, octal, hexadecimal, short forms, names."""
    with pytest.raises(Refused, match="is not asked"):
        await AddressRule().resolve(host, 80, within=SOON)


async def test_a_name_without_an_address_is_a_failed_probe() -> None:
    """Not a refusal: it may have one later."""
    with pytest.raises(ProbeFailed, match="cannot be resolved"):
        await AddressRule().resolve("no..host", 80, within=SOON)


@pytest.mark.parametrize(
    "address",
    [
        "64:ff9b:1::a9fe:a9fe",
        "64:ff9b:1:a9fe:a9:fe00::",
        "64:ff9b:1:a9:fe:a9fe::",
        "::ffff:0:169.254.169.254",
        "2001:0:a9fe:a9fe::1",
        "2001:0:5ef5:79fd:0:0:5601:5601",
        "2001:db8::5efe:169.254.169.254",
        "2001:db8::200:5efe:169.254.169.254",
        "2002:a00:1::5efe:169.254.169.254",
        "fd20:ce::254",
        "240.0.0.1",
        "250.1.2.3",
        "::ffff:240.0.0.1",
    ],
)
def test_an_address_that_leads_to_a_forbidden_one_by_a_tunnel_or_a_translator_is_refused(address: str) -> None:
    """E6: local NAT64 in each of its forms, SIIT, Teredo (server and client), ISATAP, 6to4."""
    assert AddressRule().refusal(ip_address(address))


@pytest.mark.parametrize(
    "address",
    ["64:ff9b:1::10.0.0.5", "64:ff9b::10.0.0.5", "::ffff:0:10.0.0.5", "2001:db8::5efe:10.0.0.5", "fd20:ce::1"],
)
def test_an_address_that_leads_to_a_service_may_be_asked(address: str) -> None:
    assert not AddressRule().refusal(ip_address(address))
