"""Where peers are: address books. An address decides nothing about who answers: the transport authenticates that."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from crypto.identity import PeerId, parse_peer_id
from overlay.addresses import Address

_MAX_FILE_BYTES: Final = 512  # a name of 253 characters, a PeerId of 52 and what stands between


class AddressBook(Protocol):
    """From PeerId to where it can be dialled now."""

    def publish(self, peer_id: PeerId, address: str) -> None:
        """Make known that `peer_id` listens at `address`, a multiaddr that ends in /p2p/PEERID.

        Raises `ValueError` for an address that nobody could dial.
        """

    def lookup(self, peer_id: PeerId) -> str | None:
        """The address of `peer_id`, ending in /p2p/PEERID; None while it is not known. Ask again before each dial."""


class StaticBook:
    """The addresses of a topology file. Nothing is learned: on real devices the file is the only authority."""

    def __init__(self, addresses: Mapping[PeerId, str]) -> None:
        """`addresses` may leave out the /p2p/PEERID. Raises `ValueError` for one that nobody could dial."""
        self._addresses = {peer_id: dialable(address, peer_id) for peer_id, address in addresses.items()}

    def publish(self, peer_id: PeerId, address: str) -> None:
        """Check the address and forget it: peers have their own copy of the file."""
        dialable(address, peer_id)

    def lookup(self, peer_id: PeerId) -> str | None:
        """As `AddressBook.lookup`."""
        return self._addresses.get(peer_id)


class FolderBook:
    """A folder with one small file a peer, for nodes on one machine whose ports the system picks.

    Whoever may write to the folder can mislead a dial, and no more than that: a file that is not a dialable address of
    its peer, is too long, or is not a plain file counts as absent.
    """

    def __init__(self, folder: Path) -> None:
        """Creates `folder`, with its parents, where it does not exist."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def publish(self, peer_id: PeerId, address: str) -> None:
        """As `AddressBook.publish`; a reader sees the old file or the new one, never half of it."""
        content = dialable(address, peer_id).encode("ascii") + b"\n"
        target = self._path(peer_id)
        # One process publishes a PeerId, so that its pid makes the name unique; what lies there is left of a crash.
        draft = target.with_suffix(f".{os.getpid()}")
        draft.unlink(missing_ok=True)
        with draft.open("xb") as file:  # exclusive: follows no link that somebody put there
            file.write(content)
        draft.replace(target)

    def lookup(self, peer_id: PeerId) -> str | None:
        """As `AddressBook.lookup`."""
        content = _read_small(self._path(peer_id))
        if content is None:
            return None
        try:
            return dialable(content.decode("ascii").removesuffix("\n"), peer_id)
        except ValueError:
            return None

    def _path(self, peer_id: PeerId) -> Path:
        # Parsed once more because it becomes a file name: a PeerId has no '/' and no '..'.
        return self._folder / f"{parse_peer_id(peer_id)}.address"


def dialable(address: str, peer_id: PeerId) -> str:
    """`address` in the canonical form that peers dial, with /p2p/PEERID at its end, which may be missing in `address`.

    Raises `ValueError` where it is no tcp multiaddr, has port 0, or names another peer.
    """
    place, mark, named = address.partition("/p2p/")
    if mark and named != peer_id:
        raise ValueError(f"the address {address[:_MAX_FILE_BYTES]!r} is not one of {peer_id}")
    parsed = Address.parse(place)
    if parsed.port == 0:
        raise ValueError(f"nobody can dial port 0: {address!r}; publish the address after listening on it")
    return f"{parsed}/p2p/{peer_id}"


def _read_small(path: Path) -> bytes | None:
    """The content of a plain file of at most `_MAX_FILE_BYTES`, else None. Follows no link and waits for no pipe."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        plain = stat.S_ISREG(os.fstat(descriptor).st_mode)
        content = os.read(descriptor, _MAX_FILE_BYTES + 1) if plain else None
    finally:
        os.close(descriptor)
    return None if content is None or len(content) > _MAX_FILE_BYTES else content
