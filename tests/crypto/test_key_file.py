"""Key files: what comes back, what is refused, what outlives a release that knew no runs."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.identity import Identity, IdentityError
from crypto.key_file import MAX_BYTES, MOST_RUNS, KeyFile, Run

ZERO = Identity.from_seed(bytes(32))
RUN = Run(bytes(range(32)), noised=True)

runs = st.lists(
    st.builds(Run, st.binary(min_size=32, max_size=32), st.booleans()), max_size=4, unique_by=lambda r: r.digest
)
keys = st.builds(
    lambda seed, begun: KeyFile(Identity.from_seed(seed), tuple(begun)), st.binary(min_size=32, max_size=32), runs
)


def _sealed(body: str) -> bytes:
    return f"{body}checksum {sha256(body.encode()).hexdigest()}\n".encode()


@given(keys)
def test_a_key_file_gives_back_the_identity_and_its_runs(key):
    restored = KeyFile.decode(key.encode())
    assert (restored.identity.seed, restored.identity.peer_id) == (key.identity.seed, key.identity.peer_id)
    assert restored.runs == key.runs
    assert restored.noised is any(run.noised for run in key.runs)


def test_a_key_that_has_begun_nothing_is_a_file_of_the_first_version():
    """So every file that `node init` ever made can be read, and one of today by the releases before."""
    body = f"grapevine-key 1 ed25519\npeer-id {ZERO.peer_id}\nseed {'00' * 32}\n"
    assert KeyFile(ZERO).encode() == _sealed(body)
    assert KeyFile.decode(_sealed(body)) == KeyFile(ZERO)


def test_a_key_that_has_begun_a_run_is_refused_by_releases_that_would_begin_it_again():
    lines = KeyFile(ZERO, (RUN,)).encode().decode("ascii").splitlines()
    assert lines[0] == "grapevine-key 2 ed25519"
    assert lines[3] == f"begun {RUN.digest.hex()} noised"


def test_a_run_is_begun_once_and_none_is_forgotten():
    key = KeyFile(ZERO).beginning(RUN)
    assert key.has_begun(RUN.digest)
    assert not key.has_begun(bytes(32))
    assert key.beginning(RUN) == key
    for number in range(1, MOST_RUNS):
        key = key.beginning(Run(number.to_bytes(32, "big"), noised=True))
    with pytest.raises(IdentityError, match=f"{MOST_RUNS} runs"):
        key.beginning(Run(b"x" * 32, noised=False))
    content = key.encode()
    assert len(content) <= MAX_BYTES
    assert KeyFile.decode(content) == key


@given(keys, st.data())
def test_a_key_file_with_one_byte_changed_or_cut_is_refused(key, data):
    content = key.encode()
    at = data.draw(st.integers(0, len(content) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda b: b != content[at]))
    for damaged in (content[:at], content[:at] + bytes([byte]) + content[at + 1 :], content + bytes([byte])):
        with pytest.raises(IdentityError):
            KeyFile.decode(damaged)


@given(st.binary(max_size=2000))
def test_any_bytes_are_a_key_file_or_an_identity_error(content):
    with pytest.raises(IdentityError):
        KeyFile.decode(content)


HEAD = f"peer-id {ZERO.peer_id}\nseed {'00' * 32}\n"
BEGUN = f"begun {'11' * 32}\n"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("grapevine-key 1 ed25519\n", "lacks"),
        (f"grapevine-key 1 ed25519\npeer-id {ZERO.peer_id}\nseed 00\n", "lacks"),
        (f"grapevine-key 1 ed25519\npeer-id {ZERO.peer_id}\nseed {'zz' * 32}\n", "lacks"),
        (f"grapevine-key 1 ed25519\npeer-id {ZERO.peer_id}\nseed {'11' * 32}\n", "belongs to"),
        (f"grapevine-key 3 ed25519\n{HEAD}", "first line"),
        (f"grapevine-key 1 ed25519\n{HEAD}{BEGUN}", "none of its version"),
        (f"grapevine-key 2 ed25519\n{HEAD}", "none of its version"),
        (f"grapevine-key 2 ed25519\n{HEAD}{BEGUN}{BEGUN}", "another run"),
        (f"grapevine-key 2 ed25519\n{HEAD}{BEGUN}begun 11\n", "none of a key file"),
        (f"grapevine-key 2 ed25519\n{HEAD}begun {'zz' * 32}\n", "none of a key file"),
        (f"grapevine-key 2 ed25519\n{HEAD}begun {'11' * 32} nosed\n", "none of a key file"),
        (f"grapevine-key 2 ed25519\n{HEAD}ended {'11' * 32}\n", "none of a key file"),
    ],
)
def test_a_key_file_with_a_valid_checksum_is_still_checked(body, why):
    with pytest.raises(IdentityError, match=why):
        KeyFile.decode(_sealed(body))


def test_repr_and_errors_hide_the_secret():
    key = KeyFile(Identity.from_seed(bytes(range(32))), (RUN,))
    assert key.identity.seed.hex() not in repr(key)
    damaged = key.encode().partition(b"checksum ")[0].replace(b"seed 00", b"seed zz").decode()
    with pytest.raises(IdentityError, match="lacks") as caught:
        KeyFile.decode(_sealed(damaged))
    assert key.identity.seed.hex()[2:] not in str(caught.value)
