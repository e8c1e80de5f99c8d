from __future__ import annotations

import os
import stat

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crypto.identity import Identity, IdentityError, PeerId
from overlay.discovery import FolderBook, StaticBook, dialable

ANNA, BERT = (Identity.from_seed(bytes([i]) * 32).peer_id for i in range(2))
PLACE = "/ip4/10.0.0.7/tcp/4001"


@pytest.mark.parametrize("place", [PLACE, "/ip6/fd00::11/tcp/1", "/dns4/press-1.plant.example/tcp/65535"])
def test_an_address_gets_the_peer_id_at_its_end_once(place):
    assert dialable(place, ANNA) == f"{place}/p2p/{ANNA}"
    assert dialable(f"{place}/p2p/{ANNA}", ANNA) == f"{place}/p2p/{ANNA}"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "/ip4/10.0.0.7/tcp/0",
        "/ip4/10.0.0.7/tcp/65536",
        "/ip4/10.0.0.7/tcp/-1",
        "/ip4/10.0.0.7/tcp/4001/",
        "/ip4/300.0.0.7/tcp/4001",
        "/ip4/10.0.0.7/udp/4001/quic-v1",
        "/unix/tmp/socket",
        f"{PLACE}/p2p/{BERT}",
        f"{PLACE}/p2p/{ANNA}/p2p/{ANNA}",
        f"{PLACE}/p2p/",
        f"{PLACE}\n",
        f"{PLACE}\0",
    ],
)
def test_an_address_that_nobody_can_dial_is_refused(address):
    with pytest.raises(ValueError, match=r"\S"):
        dialable(address, ANNA)


def test_a_static_book_knows_its_mapping_and_learns_nothing():
    book = StaticBook({ANNA: PLACE})
    assert book.lookup(ANNA) == f"{PLACE}/p2p/{ANNA}"
    book.publish(BERT, f"{PLACE}/p2p/{BERT}")
    assert book.lookup(BERT) is None


def test_a_static_book_refuses_a_bad_address_when_it_is_made():
    with pytest.raises(ValueError, match="port 0"):
        StaticBook({ANNA: "/ip4/127.0.0.1/tcp/0"})


def test_what_one_book_publishes_another_finds(tmp_path):
    one, other = FolderBook(tmp_path / "run" / "book"), FolderBook(tmp_path / "run" / "book")
    assert other.lookup(ANNA) is None
    one.publish(ANNA, PLACE)
    assert other.lookup(ANNA) == f"{PLACE}/p2p/{ANNA}"
    one.publish(ANNA, "/ip4/10.0.0.7/tcp/4002")  # a restart at another port
    assert other.lookup(ANNA) == f"/ip4/10.0.0.7/tcp/4002/p2p/{ANNA}"
    assert [path.name for path in (tmp_path / "run" / "book").iterdir()] == [f"{ANNA}.address"]


def test_publish_refuses_what_nobody_can_dial_and_leaves_the_old_address(tmp_path):
    book = FolderBook(tmp_path)
    book.publish(ANNA, PLACE)
    with pytest.raises(ValueError, match="port 0"):
        book.publish(ANNA, "/ip4/127.0.0.1/tcp/0")
    assert book.lookup(ANNA) == f"{PLACE}/p2p/{ANNA}"


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "/etc/passwd", "12D3KooW"])
def test_only_a_peer_id_becomes_a_file_name(tmp_path, name):
    book = FolderBook(tmp_path)
    with pytest.raises(IdentityError):
        book.lookup(PeerId(name))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=600))
def test_hostile_content_counts_as_absent(tmp_path, content):
    (tmp_path / f"{ANNA}.address").write_bytes(content)
    assert FolderBook(tmp_path).lookup(ANNA) is None


def test_an_address_of_another_peer_or_a_file_too_long_counts_as_absent(tmp_path):
    book, path = FolderBook(tmp_path), tmp_path / f"{ANNA}.address"
    good = f"{PLACE}/p2p/{ANNA}"
    for content in (f"{PLACE}/p2p/{BERT}", good + "\n" * 500, f"{good}\n{good}\n", good + "\r\n"):
        path.write_text(content)
        assert book.lookup(ANNA) is None
    path.write_text(good)
    assert book.lookup(ANNA) == good


def test_a_link_a_folder_or_a_pipe_counts_as_absent_and_is_not_waited_for(tmp_path):
    book, path = FolderBook(tmp_path), tmp_path / f"{ANNA}.address"
    (tmp_path / "secret").write_text(f"{PLACE}/p2p/{ANNA}")
    path.symlink_to(tmp_path / "secret")
    assert book.lookup(ANNA) is None
    path.unlink()
    path.mkdir()
    assert book.lookup(ANNA) is None
    path.rmdir()
    os.mkfifo(path)
    assert stat.S_ISFIFO(path.stat().st_mode)
    assert book.lookup(ANNA) is None


def test_publishing_follows_no_link(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for name in (f"{ANNA}.address", f"{ANNA}.{os.getpid()}"):
        (tmp_path / name).symlink_to(victim)
    FolderBook(tmp_path).publish(ANNA, PLACE)
    assert victim.read_text() == "precious"
    assert FolderBook(tmp_path).lookup(ANNA) == f"{PLACE}/p2p/{ANNA}"


async def test_a_reader_beside_a_writer_sees_whole_addresses_alone(tmp_path):
    """A thread rewrites the file while this one reads: an old or a new address, never half of one, never none."""
    addresses = {f"/ip4/10.0.0.7/tcp/{port}/p2p/{ANNA}" for port in (1, 65535)}
    writer, reader = FolderBook(tmp_path), FolderBook(tmp_path)
    writer.publish(ANNA, "/ip4/10.0.0.7/tcp/1")

    def write() -> None:
        for turn in range(200):
            writer.publish(ANNA, f"/ip4/10.0.0.7/tcp/{(1, 65535)[turn % 2]}")

    seen = set()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, write)
        for _ in range(200):
            seen.add(reader.lookup(ANNA))
            await trio.lowlevel.checkpoint()
    assert seen <= addresses
