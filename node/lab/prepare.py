"""What a lab lays out before its nodes start: folders, keys, data shards."""

from __future__ import annotations

import os
import time

from crypto.identity import PeerId
from node.api.tokens import SCOPES_OF, TokenFile, mint
from node.errors import RunError
from node.files import write_atomically
from node.lab.folder import RunFolder
from node.learning.data import save_dataset
from node.rows import even_part, everybodys_rows
from node.state import StateFolder
from overlay.topology import Topology


def make_folders(folder: RunFolder, topology: Topology) -> None:
    """An empty run folder with one folder a node. Raises RunError when `folder` holds anything already."""
    try:
        if folder.path.is_dir() and any(folder.path.iterdir()):
            raise RunError(f"{folder.path} is not empty", "Name a new folder with --out; a run is never overwritten.")
        for node in topology.nodes:
            folder.node(node.name).mkdir(parents=True)
        folder.addresses.mkdir(parents=True)
        folder.shard("any").parent.mkdir()
    except OSError as error:
        raise RunError(f"{folder.path} cannot be made: {error}", "Name another folder with --out.") from error


def make_keys(folder: RunFolder, topology: Topology) -> dict[str, PeerId]:
    """A key for every node; node name → PeerId."""
    return {node.name: StateFolder(folder.state(node.name)).create_identity().peer_id for node in topology.nodes}


def make_token(folder: RunFolder, topology: Topology) -> None:
    """One token of an admin for the APIs of all nodes, in the run's folder."""
    token, text = mint("lab", "admin", SCOPES_OF["admin"], now=time.time(), expires_at=None, randbytes=os.urandom)
    for node in topology.nodes:
        TokenFile(folder.state(node.name) / "tokens.json").add(token)
    write_atomically(folder.token, f"{text}\n".encode(), mode=0o600)


def make_shards(folder: RunFolder, topology: Topology) -> int:
    """Deal the training rows to the nodes and lay the global test set apart; gives what `public_rows` does."""
    shards, test = everybodys_rows(topology)
    for name, shard in zip(topology.names, shards, strict=True):
        save_dataset(folder.shard(name), shard)
    save_dataset(folder.test, test)
    return even_part(topology, sum(map(len, shards)))


def one_thread_each() -> None:
    """Eight processes that each start a thread a core fight over two cores: BLAS is told to stay single."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
