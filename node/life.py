"""How a node that was put together lives: what operators may move in it, what outlives a restart, how it ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from consensus.messages import Vector
from node.controls import ControlRefused
from node.errors import BEGIN_ANEW, StateError, UserError
from node.learning.learner import Learner, Restored
from node.runtime import Runtime
from node.standby import Levers
from node.state import Checkpoint, Value
from node.store.champions import unpack_champion
from node.watch import Lookout

_KEY = "paused"
_LEAVES_OUT = ("none", "shamir")
"""Kinds of sharing in which a peer can be left out of an average."""


class Versions(Protocol):
    """Where champions are kept."""

    def load(self, version: int) -> bytes:
        """Raises StateError where it is not there."""


def levers_of(sharing: str, lookout: Lookout | None, learner: Learner, versions: Versions) -> Levers:
    """What an operator's orders move in a node."""

    def restore(version: int) -> Restored:
        try:
            return learner.reinstate(_champion(versions, version))
        except UserError as error:
            raise ControlRefused(error.problem, error.remedy) from error

    return Levers(lookout.order if lookout is not None and sharing in _LEAVES_OUT else None, restore)


def _champion(versions: Versions, version: int) -> Vector:
    content = versions.load(version)
    try:
        return unpack_champion(content)
    except ValueError as error:
        raise StateError(f"champion {version} is no model: {error}", "Choose another version.") from error


def pack_pause(paused: str | None) -> dict[str, Value]:
    """What a checkpoint holds of an operator's pause."""
    return {} if paused is None else {_KEY: paused}


def paused_in(checkpoint: Checkpoint | None) -> str | None:
    """Why an operator paused the node, as `checkpoint` has it. Raises StateError for what is damaged."""
    paused = None if checkpoint is None else checkpoint.learner.get(_KEY)
    if paused is not None and not isinstance(paused, str):
        raise StateError(
            "what the checkpoint says of an operator's pause is damaged",
            BEGIN_ANEW,
        )
    return paused


async def live(runtime: Runtime, first_round: int, stop: Callable[[], Awaitable[str]], *, drain_s: float) -> str:
    """Run until `stop` gives a reason, which is returned: the round under way is finished first, but for at most
    `drain_s` seconds. `stop` is asked again then, and a second reason ends the node at once.
    """
    reason = ""

    async def watch(scope: trio.CancelScope) -> None:
        nonlocal reason
        reason = await stop()
        runtime.drain()
        with trio.move_on_after(drain_s):
            await stop()
        scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch, nursery.cancel_scope)
        await runtime.run(first_round)
        nursery.cancel_scope.cancel()
    return reason
