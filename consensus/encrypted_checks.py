"""What no honest member says in an encrypted round."""

from __future__ import annotations

import numpy as np

from consensus.encrypted_messages import (
    NO_KEY,
    Ciphertext,
    EncryptedMessage,
    Opened,
    RoundKey,
    Total,
    unpack_counted,
)
from consensus.encrypted_terms import EncryptedTerms
from crypto.homomorphic_errors import HomomorphicError


def wrong_with(terms: EncryptedTerms, message: EncryptedMessage) -> str | None:
    """Why no honest member sends `message`, whose signature is its sender's."""
    try:
        match message:
            case RoundKey():
                terms.scheme.check_public(message.body)
            case Ciphertext():
                if len(message.body) or message.key != NO_KEY:
                    terms.scheme.check_body(message.body, terms.size)
            case Total():
                return _wrong_with_total(terms, message)
            case Opened():
                return _wrong_with_mean(terms, message)
    except HomomorphicError as error:
        return str(error)
    return None


def _wrong_with_total(terms: EncryptedTerms, message: Total) -> str | None:
    counted = unpack_counted(terms.cell, message.counted)
    if counted is None or terms.keeper in counted or len(counted) < terms.least:
        return f"counts others than {terms.least} members or more, and not the keeper"
    terms.scheme.check_body(message.body, terms.size)
    return None


def _wrong_with_mean(terms: EncryptedTerms, message: Opened) -> str | None:
    counted, vector = unpack_counted(terms.cell, message.counted), message.vector
    if counted is None:
        return "counts members that the cell does not have"
    if not counted and not vector.size:
        return None  # the keeper got no sum
    if len(set(counted) - {terms.keeper}) < terms.least:
        return f"counts {len(counted)} members, expected {terms.least} or more beside the keeper"
    if vector.dtype != np.float32 or vector.shape != (terms.size,) or not np.isfinite(vector).all():
        return f"a vector {vector.shape} {vector.dtype}, expected finite float32 ({terms.size},)"
    return None
