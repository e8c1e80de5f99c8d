import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlay.addresses import LOOPBACK, Address
from overlay.topology_errors import Problem

ports = st.integers(0, 65535)


@given(st.ip_addresses(v=4).filter(lambda ip: not ip.is_unspecified and not ip.is_multicast), ports)
def test_every_ip4_address_that_can_be_dialled_is_read_and_written(ip, port):
    text = f"/ip4/{ip}/tcp/{port}"
    assert Address.parse(text) == Address("ip4", str(ip), port)
    assert str(Address.parse(text)) == text


@given(st.ip_addresses(v=6).filter(lambda ip: not ip.is_unspecified and not ip.is_multicast), ports)
def test_an_ip6_address_has_one_spelling(ip, port):
    long, short = (str(Address.parse(f"/ip6/{spelling}/tcp/{port}")) for spelling in (ip.exploded, ip.compressed))
    assert long == short
    assert ipaddress.IPv6Address(short.split("/")[2]) == ip


def test_names_are_read_in_lower_case():
    assert str(Address.parse("/dns4/Press-1.Plant.example/tcp/4001")) == "/dns4/press-1.plant.example/tcp/4001"


def test_loopback_leaves_the_port_to_the_system():
    assert Address.parse(LOOPBACK) == Address("ip4", "127.0.0.1", 0)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not an address"),
        ("127.0.0.1:80", "not an address"),
        ("/ip4/127.0.0.1", "not an address"),
        ("/ip4/127.0.0.1/tcp/80/", "not an address"),
        ("/ip4/127.0.0.1/tcp/80/p2p/12D3", "with a PeerId"),
        ("/ip4/127.0.0.1/udp/80/quic-v1", "over udp"),
        ("/ip5/127.0.0.1/tcp/80", "unknown kind"),
        ("/dns/host/tcp/80", "unknown kind"),
        ("/ip4/127.0.0.256/tcp/80", "impossible ip4"),
        ("/ip4/127.0.0.01/tcp/80", "impossible ip4"),
        ("/ip4/::1/tcp/80", "impossible ip4"),
        ("/ip6/127.0.0.1/tcp/80", "impossible ip6"),
        ("/ip6/fe80::1%eth0/tcp/80", "zone"),
        ("/ip4/0.0.0.0/tcp/80", "no peer can dial"),
        ("/ip6/::/tcp/80", "no peer can dial"),
        ("/ip4/224.0.0.1/tcp/80", "no peer can dial"),
        ("/dns4/-press/tcp/80", "impossible host"),
        ("/dns4/a..b/tcp/80", "impossible host"),
        ("/dns4/10.0.0.1/tcp/80", "impossible host"),
        ("/dns4/pré/tcp/80", "impossible host"),
        (f"/dns4/{'a' * 64}/tcp/80", "impossible host"),
        (f"/dns4/{'a.' * 127}a/tcp/80", "impossible host"),
        ("/ip4/127.0.0.1/tcp/65536", "impossible port"),
        ("/ip4/127.0.0.1/tcp/-1", "impossible port"),
        ("/ip4/127.0.0.1/tcp/080", "impossible port"),
        ("/ip4/127.0.0.1/tcp/٤", "impossible port"),
        ("/ip4/127.0.0.1/tcp/4001\n", "impossible port"),
    ],
)
def test_what_nobody_could_dial_is_refused(text, why):
    with pytest.raises(Problem) as refused:
        Address.parse(text)
    assert why in refused.value.what
    assert refused.value.remedy


@given(st.text() | st.from_regex(r"/(ip4|ip6|dns4)/[^/]*/tcp/[^/]*"))
def test_no_text_raises_anything_else(text):
    try:
        address = Address.parse(text)
    except Problem as problem:
        lines = problem.what + problem.remedy
    else:
        lines = str(address)
        assert Address.parse(lines) == address
    assert lines.isprintable()
