"""Listen addresses: the part of the multiaddr text format that a topology file may hold.

/ip4/192.168.1.11/tcp/4001    /ip6/fd00::11/tcp/4001    /dns4/press-1.plant.example/tcp/4001    /ip4/127.0.0.1/tcp/0
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final, Self

from overlay.topology_errors import Problem, nearest, shown

LOOPBACK: Final = "/ip4/127.0.0.1/tcp/0"
"""This machine alone, at a port that the system picks."""

_PROTOCOLS: Final = ("ip4", "ip6", "dns4")
_EXAMPLE: Final = 'write it like "/ip4/192.168.1.11/tcp/4001"'
_HOST_MAX: Final = 253  # RFC 1035 section 2.3.4, less the root dot
_LABEL: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a node listens and its peers dial it."""

    protocol: str
    """ip4, ip6 or dns4."""
    host: str
    """Canonical: an IP address as `ipaddress` writes it, a name in lower case."""
    port: int
    """0 lets the system pick one: for nodes that share an address book, as in the lab."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the multiaddr `text`. Raises `Problem` for anything but ip4, ip6 or dns4 with tcp."""
        match text.split("/"):
            case ["", protocol, host, "tcp", port]:
                return cls(_known(protocol, text), _host(protocol, host, text), _port(port, text))
            case ["", _, _, "tcp", _, "p2p", *_]:
                raise Problem(f"is {shown(text)}, with a PeerId", "leave out /p2p/… and write the PeerId as `peer_id`")
            case ["", _, _, "udp", *_]:
                raise Problem(f"is {shown(text)}, over udp", f"nodes talk over tcp alone: {_EXAMPLE}")
        raise Problem(f"is {shown(text)}, not an address", _EXAMPLE)

    def __str__(self) -> str:
        return f"/{self.protocol}/{self.host}/tcp/{self.port}"


def _known(protocol: str, text: str) -> str:
    if protocol not in _PROTOCOLS:
        hint = nearest(protocol, _PROTOCOLS)
        raise Problem(f"is {shown(text)}, of an unknown kind", f"{hint}an address begins with /ip4, /ip6 or /dns4")
    return protocol


def _host(protocol: str, host: str, text: str) -> str:
    if protocol == "dns4":
        labels = host.split(".")
        if len(host) > _HOST_MAX or not all(_LABEL.fullmatch(label) for label in labels) or labels[-1].isdigit():
            raise Problem(f"is {shown(text)}, with an impossible host name", "letters, digits, hyphens and dots alone")
        return host.lower()
    try:
        address = ipaddress.IPv4Address(host) if protocol == "ip4" else ipaddress.IPv6Address(host)
    except ValueError as error:
        raise Problem(f"is {shown(text)}, with an impossible {protocol} address", _EXAMPLE) from error
    if "%" in host:
        raise Problem(f"is {shown(text)}, with a zone, which is no address for a peer", _EXAMPLE)
    if address.is_unspecified or address.is_multicast:
        # Peers dial what stands here, and nobody can dial "any of my interfaces".
        raise Problem(f"is {shown(text)}, which no peer can dial", "write the device's own address as its peers see it")
    return str(address)


def _port(port: str, text: str) -> int:
    if not re.fullmatch(r"0|[1-9][0-9]{0,4}", port, re.ASCII) or int(port) > 65535:
        raise Problem(f"is {shown(text)}, with an impossible port", "use a number from 0 to 65535; 0 is any free one")
    return int(port)
