"""The exception tree of learning. All of them are local: our data, our settings or our bug; never a peer's fault.

LearningError        a vector or a snapshot that does not fit the model
├── DataError        a data set that cannot be read; names file, line and column
├── PartitionError   rows that cannot be dealt to the nodes as asked; states the bound
└── Diverged         training left the finite numbers, from the initial model too
"""

from __future__ import annotations

from node.errors import UserError


class LearningError(UserError):
    """Base of what learning raises: a problem and its remedy."""


class DataError(LearningError):
    """A data set specification, file or cell that cannot be used."""


class PartitionError(LearningError):
    """A partition that cannot exist for the given rows and nodes."""


class Diverged(LearningError):  # noqa: N818 - it did
    """The loss or the model blew up in local training."""
