"""The server on real sockets: what one caller does is felt by nobody else, and it ends when it is told to."""

import socket
import ssl
import struct
from contextlib import asynccontextmanager, suppress

import pytest
import structlog.testing
import trio

from node.api import connection, events, server
from node.api.endpoint import Endpoint, listen
from node.errors import RunError
from node.feed import read_from
from tests.node.api.harness import closed

GET = b"GET %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n"


@asynccontextmanager
async def served(face, endpoint=None):
    """The port."""
    endpoint = endpoint or Endpoint("127.0.0.1", 0)
    listener = listen(endpoint)
    port = listener.getsockname()[1]
    with trio.fail_after(20):
        async with server.serving(face.application, listener, endpoint):
            yield port


async def ask(port, request, stream=None):
    """The head and body of one answer."""
    stream = stream or await trio.open_tcp_stream("127.0.0.1", port)
    await stream.send_all(request)
    got = b""
    while b"\r\n\r\n" not in got:
        chunk = await stream.receive_some()
        if not chunk:
            return got, b""
        got += chunk
    head, _, body = got.partition(b"\r\n\r\n")
    length = next((int(x.split(b":")[1]) for x in head.split(b"\r\n") if x.startswith(b"content-length")), 0)
    while len(body) < length:
        body += await stream.receive_some()
    return head, body


async def test_it_answers_and_keeps_the_connection(face):
    token = face.token("v").encode()
    async with served(face) as port:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        for _ in range(3):
            head, body = await ask(port, GET % (b"/v1/overview", token), stream)
            assert head.startswith(b"HTTP/1.1 200")
            assert b'"name":"press-1"' in body


async def test_a_gigabyte_is_cut_off_while_it_is_sent(face):
    token = face.token("olga", "operator").encode()
    head = b"POST /v1/controls/pause HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + token
    async with served(face) as port:
        for how in (b"Content-Length: 1073741824", b"Transfer-Encoding: chunked"):
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            await stream.send_all(head + b"\r\n" + how + b"\r\n\r\n")
            sent, chunk = 0, bytes(1 << 16) if b"Length" in how else b"10000\r\n" + bytes(1 << 16) + b"\r\n"
            with suppress(trio.BrokenResourceError):
                while sent < 1 << 30:
                    await stream.send_all(chunk)
                    sent += len(chunk)
            assert sent < 1 << 24  # what the two kernels hold between them
        assert (await ask(port, GET % (b"/healthz", b"")))[1] == b'{"status":"ok"}'


async def test_who_has_gone_makes_room_at_once(face, monkeypatch):
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 1)
    async with served(face) as port:
        began = trio.current_time()
        for _ in range(20):
            gone = await trio.open_tcp_stream("127.0.0.1", port)
            await gone.aclose()
        assert (await ask(port, GET % (b"/healthz", b"")))[1] == b'{"status":"ok"}'
        assert trio.current_time() - began < connection.IDLE_S  # and not 20 times that


async def test_who_goes_before_the_connection_is_taken_up_is_no_line_in_the_log(face):
    token = face.token("v").encode()
    with structlog.testing.capture_logs() as lines:
        async with served(face) as port:
            for _ in range(5):
                gone = socket.create_connection(("127.0.0.1", port))
                gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # no goodbye: a reset
                gone.close()  # the loop has not come to it: nothing was awaited
            assert (await ask(port, GET % (b"/healthz", token)))[1] == b'{"status":"ok"}'
    assert lines == []


async def test_who_goes_while_an_answer_begins_is_no_fault_of_the_application(face, monkeypatch):
    """The task that reads closes the stream, the one that answers comes upon it."""
    met = trio.Event()

    async def send_all(stream, data):
        if stream.socket.getsockname()[1] == port and not met.is_set():
            met.set()
            raise trio.BusyResourceError("another task is currently sending data on this SocketStream")
        await real(stream, data)

    real = trio.SocketStream.send_all
    monkeypatch.setattr(trio.SocketStream, "send_all", send_all)
    token = face.token("v").encode()
    with structlog.testing.capture_logs() as lines:
        async with served(face) as port:
            gone = await trio.open_tcp_stream("127.0.0.1", port)
            await gone.send_all(GET % (b"/healthz", token))
            await met.wait()
            await gone.aclose()
            assert (await ask(port, GET % (b"/healthz", token)))[1] == b'{"status":"ok"}'
    assert lines == []


async def test_connections_beyond_the_bound_wait_and_the_idle_make_room(face, monkeypatch):
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 3)
    monkeypatch.setattr(connection, "IDLE_S", 0.3)
    async with served(face) as port:
        idle = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(8)]
        began = trio.current_time()
        assert (await ask(port, GET % (b"/healthz", b"")))[1] == b'{"status":"ok"}'
        assert trio.current_time() - began >= 0.3  # it waited for one of the three to be closed
        for stream in idle:
            assert await stream.receive_some() == b""


async def test_headers_that_never_end_are_not_waited_for(face, monkeypatch):
    monkeypatch.setattr(connection, "IDLE_S", 0.3)
    async with served(face) as port:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        with trio.fail_after(5), suppress(trio.BrokenResourceError):
            while True:
                await stream.send_all(b"X")
                await trio.sleep(0.05)


async def test_what_breaks_a_parser_breaks_its_connection_alone(face, monkeypatch):
    monkeypatch.setattr(connection, "IDLE_S", 0.2)
    hostile = (
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /%ff%fe HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        b"Upgrade: h2c\r\nHTTP2-Settings: %%%\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(64),
        b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n\xff\xff\xff",
        b"A" * 100_000,
    )
    with structlog.testing.capture_logs():
        async with served(face) as port:
            for request in hostile:
                stream = await trio.open_tcp_stream("127.0.0.1", port)
                await stream.send_all(request)
                await stream.send_eof()
                with suppress(trio.BrokenResourceError):
                    while await stream.receive_some():
                        pass
            assert (await ask(port, GET % (b"/healthz", b"")))[1] == b'{"status":"ok"}'


async def test_it_ends_although_a_reader_does_not_read(face, monkeypatch):
    monkeypatch.setattr(server, "GRACE_S", 0.2)
    monkeypatch.setattr(events, "PAUSE_S", 0.0)
    pieces = []
    monkeypatch.setattr(events, "read_from", lambda *args: pieces.append(read_from(*args)) or pieces[-1])
    with face.sources.journal.open("ab") as file:
        file.write((closed(4).model_dump_json().encode() + b"\n") * 50_000)
    async with served(face) as port:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(GET % (b"/v1/events?after=0", face.token("v").encode()))
        await stream.receive_some()
        before = -1
        while len(pieces) > before:  # until the kernel takes no more for somebody who does not read
            before = len(pieces)
            await trio.sleep(0.2)
        assert sum(end for _, end in pieces[-1:]) < face.sources.journal.stat().st_size
        began = trio.current_time()
    assert trio.current_time() - began < 3


async def test_an_answer_under_way_is_finished(face):
    asked, answer = trio.Event(), trio.Event()

    async def slow_pause(actor, reason):
        asked.set()
        await answer.wait()

    face.told.pause = slow_pause
    token, body = face.token("olga", "operator").encode(), b'{"reason": "x"}'
    request = (
        b"POST /v1/controls/pause HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s" % (token, len(body), body)
    )
    heads = []

    async def pause(port):
        heads.append((await ask(port, request))[0])

    async def answer_later():
        await trio.sleep(0.1)
        answer.set()

    async with trio.open_nursery() as nursery, served(face) as port:
        nursery.start_soon(pause, port)
        await asked.wait()
        nursery.start_soon(answer_later)
    assert heads[0].startswith(b"HTTP/1.1 200")
    with pytest.raises(OSError, match="connect"):
        await trio.open_tcp_stream("127.0.0.1", port)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for localhost and its key, made here."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "key.pem").chmod(0o600)
    return folder / "cert.pem", folder / "key.pem"


async def test_tls_is_spoken_where_there_is_a_certificate(face, certificate):
    async with served(face, Endpoint("127.0.0.1", 0, *certificate)) as port:
        context = ssl.create_default_context(cafile=str(certificate[0]))
        stream = await trio.open_ssl_over_tcp_stream(
            "localhost", port, ssl_context=context, https_compatible=True, happy_eyeballs_delay=0
        )
        assert (await ask(port, GET % (b"/healthz", b""), stream))[1] == b'{"status":"ok"}'
        plain = await trio.open_tcp_stream("127.0.0.1", port)
        with pytest.raises((trio.BrokenResourceError, AssertionError)):
            assert b"200" in (await ask(port, GET % (b"/healthz", b""), plain))[0]


async def test_what_cannot_be_listened_at_or_proved_is_said(face, certificate, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(RunError, match="cannot listen at"):
        listen(Endpoint("127.0.0.1", taken.getsockname()[1]))
    wrong = tmp_path / "key.pem"
    wrong.write_text("no key")
    wrong.chmod(0o644)
    with pytest.raises(RunError, match="by anybody"):
        listen(Endpoint("127.0.0.1", 0, certificate[0], wrong))
    with pytest.raises(RunError, match="--tls-key"):
        listen(Endpoint("127.0.0.1", 0, certificate[0], tmp_path / "none.pem"))
    wrong.chmod(0o600)
    with pytest.raises(RunError, match="PEM") as caught:
        async with served(face, Endpoint("127.0.0.1", 0, certificate[0], wrong)):
            pass
    assert caught.value.remedy
