"""Work that is too heavy for the loop: a round asks for it and goes on when the result is handed back.

A job is a frozen value that pickles, and `run` is pure: the loop may call it in place (in virtual time), or in a worker
process, since the libraries beneath hold the interpreter lock. Whatever a peer's bytes can do wrong was found before a
job was made of them, so an exception of `run` is an error of ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from consensus.effects import Effect, Event


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


SecretEvent: TypeAlias = Event | Computed
SecretEffect: TypeAlias = Effect | Compute


class Jobs:
    """The jobs of one round that are under way, and what follows on each."""

    def __init__(self) -> None:
        self._tickets = 0
        self._next: dict[int, Callable[[object], list[SecretEffect]]] = {}

    def ask(self, job: Job, then: Callable[[object], list[SecretEffect]]) -> list[SecretEffect]:
        """Have `job` run, and go on with `then` of its result."""
        self._tickets += 1
        self._next[self._tickets] = then
        return [Compute(self._tickets, job)]

    def done(self, ticket: int, result: object) -> list[SecretEffect]:
        """Go on; a ticket that is not known is of no consequence."""
        then = self._next.pop(ticket, None)
        return then(result) if then is not None else []

    def forget(self) -> None:
        """Go on with none of them."""
        self._next.clear()
