"""That no run is begun twice under one key.

What a node signs in two histories of one run convicts it, and a ledger made anew has forgotten what was let out.

    start               nothing of the run here, and the key has begun it  ► refused
                        no ledger here, and the key has let out under one  ► refused
    its first round     checkpoint, then a line in the key file, and only then anything is charged or signed

A run is that of one topology digest. It counts where something is shared or noised; in the open a node may begin anew
as often as it likes.
"""

from __future__ import annotations

from collections.abc import Callable

from crypto.key_file import KeyFile, Run
from node.errors import StateError
from node.privacy import Privacy
from node.state import Checkpoint, StateFolder
from overlay.topology import Topology


def run_of(topology: Topology) -> Run | None:
    """What a key is to take note of; None where nodes may begin anew."""
    noised = topology.privacy.dp != "off"
    if topology.privacy.sharing == "none" and not noised:
        return None
    return Run(topology.digest(), noised)


def refuse_anew(state: StateFolder, key: KeyFile, topology: Topology, checkpoint: Checkpoint | None) -> None:
    """Raises StateError where `key` has begun the run of `topology` and `state` has lost it."""
    run = run_of(topology)
    if run is None or checkpoint is not None or not key.has_begun(run.digest):
        return
    spent = ", nor how much of its epsilon is spent" if run.noised else ""
    raise StateError(
        f"{state.key_path} has begun {topology.name} before, and {state.path} holds no checkpoint of it: "
        f"what this node signed then is not known here{spent}",
        "Give the file another `seed` on all devices; or take part as a new node (`grapevine node init`), with its "
        "peer_id in place of this one's.",
    )


def refuse_forgotten(place: str, key: KeyFile, checkpoint: Checkpoint | None, privacy: Privacy) -> None:
    """Raises StateError where ε was claimed under `key` and the ledger of `privacy`, at `place`, does not know of it.

    What a checkpoint knows of the ledger is checked elsewhere (`node.privacy.privacy_of`).
    """
    if checkpoint is None and key.noised and privacy.spent == 0.0:
        raise StateError(
            f"something was let out under this key with a claim of epsilon, and the ledger in {place} is empty",
            "Put the store back. Without it, what was let out is unknown and the data must not be used again; a new "
            "node (`grapevine node init`) is for other data.",
        )


def beginning(
    state: StateFolder, key: KeyFile, topology: Topology, checkpoint: Callable[[int], None]
) -> Callable[[int], None] | None:
    """What a node does before the first round that it plays, given that round; None where there is nothing to do."""
    run = run_of(topology)
    if run is None or key.has_begun(run.digest):
        return None

    def begin(number: int) -> None:
        checkpoint(number)
        state.begin(run)

    return begin
