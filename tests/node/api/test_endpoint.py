"""Where an API may listen."""

from pathlib import Path

import pytest

from node.api.endpoint import parse_endpoint
from node.errors import UserError

CERTIFICATE = (Path("cert.pem"), Path("key.pem"))


@pytest.mark.parametrize(
    ("text", "address", "url"),
    [
        ("127.0.0.1:8200", "127.0.0.1:8200", "http://127.0.0.1:8200"),
        ("localhost:0", "127.0.0.1:0", "http://127.0.0.1:0"),
        ("[::1]:8200", "[::1]:8200", "http://[::1]:8200"),
        ("127.8.9.1:65535", "127.8.9.1:65535", "http://127.8.9.1:65535"),
    ],
)
def test_loopback_needs_no_certificate(text, address, url):
    endpoint = parse_endpoint(text)
    assert (endpoint.address, endpoint.url(endpoint.port), endpoint.secure) == (address, url, False)
    assert parse_endpoint(endpoint.address) == endpoint


@pytest.mark.parametrize("text", ["0.0.0.0:8200", "[::]:8200", "192.168.1.7:8200", "10.0.0.1:1", "[fe80::1]:1"])
def test_beyond_loopback_there_is_no_clear_text(text):
    with pytest.raises(UserError, match="in clear text") as caught:
        parse_endpoint(text)
    assert len(str(caught.value).splitlines()) == 2
    assert parse_endpoint(text, *CERTIFICATE).url(8200).startswith("https://")


@pytest.mark.parametrize(
    "text",
    ["", ":", ":80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:1e3", "::1:²", "h:1"],
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(UserError):
        parse_endpoint(text)


def test_a_certificate_and_its_key_come_together():
    for pair in ((CERTIFICATE[0], None), (None, CERTIFICATE[1])):
        with pytest.raises(UserError, match="belong together"):
            parse_endpoint("127.0.0.1:1", *pair)


def test_each_node_of_a_lab_has_a_port_of_its_own():
    endpoint = parse_endpoint("127.0.0.1:8200")
    assert [endpoint.moved(i).port for i in range(3)] == [8200, 8201, 8202]
    assert parse_endpoint("127.0.0.1:0").moved(5).port == 0
    with pytest.raises(UserError, match="no port 65537"):
        parse_endpoint("127.0.0.1:65530").moved(7)
