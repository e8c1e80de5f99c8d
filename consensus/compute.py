"""Work that is too heavy for the loop: a round asks for it and goes on when the result is handed back.

A job is a frozen value that pickles, and `run` is pure: the loop may call it in place (in virtual time), or in a worker
process, since the libraries beneath hold the interpreter lock. Whatever a peer's bytes can do wrong was found before a
job was made of them, so an exception of `run` is an error of ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Job(Protocol):
    """One computation."""

    def run(self) -> object:
        """Compute the result, which pickles too."""


@dataclass(frozen=True, slots=True)
class Compute:
    """An effect: run `job`, then hand the round `Computed(ticket, job.run())`."""

    ticket: int
    job: Job


@dataclass(frozen=True, slots=True, eq=False)
class Computed:
    """An event: what a job came to. Harmless if the round has closed meanwhile."""

    ticket: int
    result: object
