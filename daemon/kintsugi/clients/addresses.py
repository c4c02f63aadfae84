"""
Decides which addresses a probe may connect to, by one lookup.

A name is resolved once, every address it has is checked, and the connection goes to a checked address: a name that
changes its mind between the check and the connection (DNS rebinding) gains nothing. Odd spellings (decimal, octal,
IPv4 inside IPv6) are read by the resolver before they are judged.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address
from types import MappingProxyType

from kintsugi.clients.resolver import Address, Resolver
from kintsugi.errors import Refused

__all__ = ["Address", "AddressRule"]

_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data"})
_METADATA_ADDRESSES = frozenset(
    ip_address(text)
    for text in (
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:c1::a9fe:a9fe",
    )
)
"""
Metadata services outside the link-local range: EC2 over IPv6, EKS Pod Identity
(https://docs.aws.amazon.com/eks/latest/userguide/pod-id-agent-setup.html), GCE over IPv6, Alibaba, Azure's wire server, and
Oracle, whose IPv6 its own client asks
(https://github.com/oracle/oci-python-sdk/blob/master/src/oci/auth/signers/instance_principals_security_token_signer.py).
"""
_NAT64 = IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
_TRANSLATED = IPv6Network("::ffff:0:0:0/96")
_TEREDO = IPv6Network("2001::/32")
_ISATAP = 0x5EFE
_RESERVED = IPv4Network("240.0.0.0/4")
_COMPATIBLE = IPv6Network("::/96")
NONE_DENIED: Mapping[str, str] = MappingProxyType({})
_FEW = 2
"""`::` and `::1` are themselves, not IPv4 addresses in an old notation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AddressRule:
    """
    The rule that refuses link-local and metadata addresses, multicast, the unspecified address, and loopback.

    `allow_loopback` is for demonstrations, whose cluster uses 127.0.0.0/8. Private addresses are allowed: Services have them.
    """

    allow_loopback: bool = False
    resolver: Resolver = field(default_factory=Resolver)

    def refusal(self, address: Address, denied_addresses: Mapping[str, str] = NONE_DENIED, port: int = 0) -> str:
        """Return why an address may not be asked, by the rule or because it, or `:PORT`, is denied to this request; "" when it may."""
        spelled = (address, *_carried(address))
        return next(
            (why for each in spelled if (why := self._refusal(each) or denied_addresses.get(str(each), ""))),
            denied_addresses.get(f":{port}", ""),
        )

    def _refusal(self, plain: Address) -> str:
        if plain in _METADATA_ADDRESSES:
            return "a cloud's metadata service"
        if plain.is_link_local:
            return "link-local, where metadata services live"
        if plain.is_unspecified:
            return "no host's address"
        if plain.is_multicast or (isinstance(plain, IPv4Address) and plain in _RESERVED):
            return "not one host's address"
        if plain.is_loopback and not self.allow_loopback:
            return "the daemon's own machine"
        return ""

    async def resolve(
        self, host: str, port: int, *, within: timedelta, denied_addresses: Mapping[str, str] = NONE_DENIED
    ) -> tuple[Address, ...]:
        """
        Return the addresses of a host, all of them checked, in the resolver's order; `denied_addresses` are further ones, with why.

        Raises Refused when the name or any of its addresses may not be asked, ProbeFailed when it has none, ResolverFailed
        when no name of the cluster has any here.
        """
        if host.rstrip(".").lower() in _METADATA_NAMES:
            raise Refused(f"{host} is not asked: it is a cloud's metadata service")
        found = await self.resolver.resolve(host, port, within=within)
        for address in found:
            if why := self.refusal(address, denied_addresses, port):
                spelled = host if host == str(address) else f"{host} ({address})"
                raise Refused(f"{spelled} is not asked: it is {why}")
        return found


def _carried(address: Address) -> tuple[IPv4Address, ...]:
    """Return the IPv4 addresses that an IPv6 address may contain, by the notations and tunnels that carry one."""
    if isinstance(address, IPv4Address):
        return ()
    number = int(address)
    last = IPv4Address(number & 0xFFFFFFFF)
    if address in _TEREDO:
        assert address.teredo is not None, address
        return address.teredo
    if address in _LOCAL_NAT64:
        return tuple({last, *_embedded(number)})
    if address.sixtofour is not None:
        return (address.sixtofour, last) if _is_isatap(number) else (address.sixtofour,)
    carries = address in _NAT64 or address in _TRANSLATED or (address in _COMPATIBLE and number >= _FEW)
    return (last,) if carries or address.ipv4_mapped is not None or _is_isatap(number) else ()


def _is_isatap(number: int) -> bool:
    """Return whether the second half of an address is an interface of ISATAP (RFC 5214)."""
    return number >> 32 & 0xFFFF == _ISATAP and number >> 48 & 0xFDFF == 0


def _embedded(number: int) -> tuple[IPv4Address, ...]:
    """Read the address that a prefix of 48, 56 or 64 bits is followed by; bits 64 to 71 are left out (RFC 6052)."""
    found = []
    for prefix in (48, 56, 64):
        digits = number.to_bytes(16)[prefix // 8 :]
        without = bytes(each for place, each in enumerate(digits, start=prefix // 8) if place != 8)
        found.append(IPv4Address(without[:4]))
    return tuple(each for each in found if int(each))  # nothing stands there: another prefix was meant
