"""Where things lie in the folder of a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from node.errors import RunError


@dataclass(frozen=True, slots=True)
class RunFolder:
    """
    DIR/run.json               what no journal knows: topology, baselines, wall time
    DIR/report.{html,json}     made from run.json and the journals
    DIR/plots/*.png
    DIR/NAME/journal.jsonl     the node's journal
    DIR/NAME/node.log          what its process printed
    DIR/NAME/state/            its key, lock and checkpoint
    DIR/token                  with --api: opens every node's API, mode 0600
    DIR/lab/                   the lab's own: addresses, data shards, the global test set, baselines
    """

    path: Path

    @contextmanager
    def writing(self) -> Iterator[None]:
        """What goes wrong with files in the block as RunError: a disk that is full, a folder that is read-only now."""
        try:
            yield
        except OSError as error:
            raise RunError(
                f"{error.filename or self.path} cannot be written: {error.strerror or error}",
                "See to the space on its disk and to who may write there, then run again.",
            ) from error

    def node(self, name: str) -> Path:
        """The folder of one node."""
        return self.path / name

    def journal(self, name: str) -> Path:
        """Its journal."""
        return self.path / name / "journal.jsonl"

    def log(self, name: str) -> Path:
        """What its process printed."""
        return self.path / name / "node.log"

    def state(self, name: str) -> Path:
        """Its state folder."""
        return self.path / name / "state"

    @property
    def token(self) -> Path:
        """What opens the nodes' APIs."""
        return self.path / "token"

    @property
    def lab(self) -> Path:
        """What belongs to the lab and to no node."""
        return self.path / "lab"

    @property
    def addresses(self) -> Path:
        """The address book that the nodes of a lab share."""
        return self.lab / "addresses"

    def shard(self, name: str) -> Path:
        """The rows that are a node's own."""
        return self.lab / "shards" / f"{name}.npz"

    @property
    def test(self) -> Path:
        """The global test set, which no node trains on."""
        return self.lab / "test.npz"

    @property
    def baselines(self) -> Path:
        """Accuracies without a swarm, left by the process that computes them."""
        return self.lab / "baselines.json"

    @property
    def baselines_log(self) -> Path:
        """What that process printed."""
        return self.lab / "baselines.log"
