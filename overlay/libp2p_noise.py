"""The Noise session of a connection: libp2p's handshake, and our own transport of what follows it.

Compatible on the wire with `/noise`. Against the session of libp2p 0.8.1 this one

- takes up to 256 KiB from the socket at a time and opens all frames in it (stock: two reads a frame),
- sends the frames of one write together,
- bears frames that arrive in any number of pieces (stock gives up after 101),
- refuses further writes once one was cut short, where stock goes on in the middle of a frame.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from libp2p.io.exceptions import ConnectionClosedError
from libp2p.security.secure_session import SecureSession

from overlay.libp2p_socket import Socket

MAX_PLAINTEXT: Final = 65535 - 16
"""Of one Noise message: its length field less the tag (Noise specification, section 3)."""
_LENGTH_BYTES: Final = 2
_BATCH_BYTES: Final = 16 * MAX_PLAINTEXT
"""Sealed before they are handed to the socket: about 1 MiB."""


class NoiseSession(SecureSession):
    """Takes over the ciphers of a finished handshake. One reader and one writer at a time."""

    def __init__(self, handshaken: SecureSession, socket: Socket) -> None:
        super().__init__(
            local_peer=handshaken.local_peer,
            local_private_key=handshaken.local_private_key,
            remote_peer=handshaken.remote_peer,
            remote_permanent_pubkey=handshaken.remote_permanent_pubkey,
            is_initiator=handshaken.is_initiator,
            conn=handshaken.conn,
        )
        protocol: Any = handshaken.conn.noise_state.noise_protocol  # type: ignore[attr-defined]  # of the Noise io class
        self._seal = protocol.cipher_state_encrypt.encrypt_with_ad
        self._open = protocol.cipher_state_decrypt.decrypt_with_ad
        self._socket = socket
        self._sealed = bytearray()
        """Received, and not a whole frame yet."""
        self._plain: deque[memoryview] = deque()
        self._plain_bytes = 0
        self._cut = False

    async def read(self, n: int | None = None) -> bytes:
        """Exactly `n` bytes, or without `n` whatever comes next. Raises `ConnectionClosedError` at the end."""
        wanted = 1 if n is None else n
        while self._plain_bytes < wanted:
            await self._open_more()
        return self._take(self._plain_bytes if n is None else n)

    async def _open_more(self) -> None:
        self._sealed += await self._socket.read()
        at, end = 0, len(self._sealed)
        with memoryview(self._sealed) as view:
            while end - at >= _LENGTH_BYTES:
                begin = at + _LENGTH_BYTES
                frame_end = begin + (view[at] << 8 | view[at + 1])
                if frame_end > end:
                    break
                with view[begin:frame_end] as frame:
                    plain = self._open(None, frame)
                if plain:
                    self._plain.append(memoryview(plain))
                    self._plain_bytes += len(plain)
                at = frame_end
        del self._sealed[:at]

    def _take(self, n: int) -> bytes:
        self._plain_bytes -= n
        pieces: list[memoryview] = []
        while n:
            piece = self._plain.popleft()
            if len(piece) > n:
                self._plain.appendleft(piece[n:])
                piece = piece[:n]
            pieces.append(piece)
            n -= len(piece)
        return b"".join(pieces)

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """All of `data`. After a write that was cancelled or failed nothing more can be sent."""
        if self._cut:
            raise ConnectionClosedError("an earlier write was cut short, and the frames after it would not line up")
        self._cut = True
        view = memoryview(data)
        for at in range(0, len(view), _BATCH_BYTES):
            await self._socket.write(self._sealed_frames(view[at : at + _BATCH_BYTES]))
        self._cut = False

    def _sealed_frames(self, view: memoryview) -> bytes:
        parts: list[bytes] = []
        for at in range(0, len(view), MAX_PLAINTEXT):
            frame = self._seal(None, view[at : at + MAX_PLAINTEXT])
            parts += (len(frame).to_bytes(_LENGTH_BYTES, "big"), frame)
        return b"".join(parts)

    async def close(self) -> None:
        """Close the connection below."""
        await self._socket.close()
