"""Messages to a peer through another one's hands: sealed for the one, unreadable for the other.

A session has one random key, wrapped for the receiver's channel key (`crypto.sealing.wrap`) beside every message, so
that no message depends on another's arrival. Each message is sealed by AES-256-GCM under that key with its number as
the nonce: a number is used once a session (NIST SP 800-38D §8.2.1), and a sender's session ends with its process.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from crypto.sealing import KEY_BYTES, WRAPPED_BYTES, BoxContext, ChannelKey, Message, SealingError, wrap

OVERHEAD_BYTES = WRAPPED_BYTES + 16
"""What a sealed message is longer by."""
_NONCE_BYTES = 12


class Sender:
    """One session. `key` is 32 fresh random bytes. Raises SealingError for a `public` that is no channel key."""

    def __init__(self, key: bytes, context: BoxContext, public: bytes) -> None:
        self._wrapped = wrap(key, context, public)
        self._cipher = AESGCM(key)
        self._context = context.encode()
        self._next = 0

    def seal(self, message: Message, number: int) -> bytes:
        """Message `number`. Raises SealingError unless numbers ascend: one used twice would betray both messages."""
        if number < self._next:
            raise SealingError(f"message {number} after {self._next - 1}")
        self._next = number + 1
        return self._wrapped + self._cipher.encrypt(number.to_bytes(_NONCE_BYTES, "big"), message, self._context)


class Receiver:
    """Opens the messages of one session, in any order."""

    def __init__(self, wrapped: bytes, context: BoxContext, secret: ChannelKey) -> None:
        """Raises SealingError for what was not wrapped for this key in this context."""
        key = secret.unwrap(wrapped, context.encode())
        if len(key) != KEY_BYTES:
            raise SealingError(f"a session's key has {KEY_BYTES} bytes, got {len(key)}")
        self._cipher = AESGCM(key)
        self._context = context.encode()

    def open(self, number: int, sealed: Message) -> bytes:
        """Message `number` behind its wrapped key. Raises SealingError."""
        try:
            return self._cipher.decrypt(number.to_bytes(_NONCE_BYTES, "big"), bytes(sealed), self._context)
        except InvalidTag as error:
            raise SealingError(f"message {number} of a session does not open") from error
