"""The exceptions of the homomorphic schemes.

HomomorphicError        ciphertexts, keys or values that cannot be used; says which bound does not hold
└── LibraryError        TenSEAL failed or is not the version that its bytes are taken apart for
"""


class HomomorphicError(ValueError):
    """Bytes that are no key or ciphertext of the scheme, or values that it cannot carry."""


class LibraryError(HomomorphicError):
    """What TenSEAL raised, or a form of its bytes that is not known."""
