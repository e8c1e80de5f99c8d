"""What the node can be told: each command needs a reason, stands in the journal before it is done, and is answered
once it is done.
"""

from __future__ import annotations

from typing import Annotated

import structlog
from fastapi import APIRouter, Depends

from node.api.access import BEARER, Needs
from node.api.problems import documented
from node.api.reads import PeerName, known_peer
from node.api.schemas import Command, Done, Quarantine, RollBack
from node.api.sources import Sources
from node.api.tokens import Token

Controller = Annotated[Token, Depends(Needs("control", "operator"))]
PeerController = Annotated[Token, Depends(Needs("peers", "operator"))]
PeerAdmin = Annotated[Token, Depends(Needs("peers", "admin"))]


def commands(sources: Sources) -> APIRouter:
    """The endpoints that change the node."""
    router = APIRouter(
        prefix="/v1",
        tags=["told"],
        dependencies=[Depends(BEARER)],
        responses=documented(400, 401, 403, 404, 409, 413, 415, 422, 429),
    )
    controls, log = sources.controls, structlog.get_logger()

    def done(token: Token, action: str, target: str = "") -> Done:
        log.info("command obeyed", action=action, target=target, actor=token.name)
        return Done(action=action, target=target, actor=token.name, last_id=sources.feed.last_id)

    @router.post("/controls/pause")
    async def pause(command: Command, token: Controller) -> Done:
        """Finish the round under way, then play none until resumed, over restarts too."""
        await controls.pause(token.name, command.reason)
        return done(token, "pause")

    @router.post("/controls/resume")
    async def resume(command: Command, token: Controller) -> Done:
        """Play rounds again."""
        await controls.resume(token.name, command.reason)
        return done(token, "resume")

    @router.post("/controls/roll-back")
    async def roll_back(command: RollBack, token: Controller) -> Done:
        """Make an older champion the champion and the working model again, as the next version."""
        await controls.roll_back(token.name, command.version, command.reason)
        return done(token, "roll-back", str(command.version))

    @router.post("/peers/{name}/quarantine")
    async def quarantine(name: PeerName, command: Quarantine, token: PeerController) -> Done:
        """Hear a peer and average it no more, for some seconds."""
        known_peer(sources, name)
        await controls.quarantine(token.name, name, command.seconds, command.reason)
        return done(token, "quarantine", name)

    @router.post("/peers/{name}/release")
    async def release(name: PeerName, command: Command, token: PeerController) -> Done:
        """End a quarantine: probation begins."""
        known_peer(sources, name)
        await controls.release(token.name, name, command.reason)
        return done(token, "release", name)

    @router.post("/peers/{name}/revoke")
    async def revoke(name: PeerName, command: Command, token: PeerAdmin) -> Done:
        """Evict a peer for good. There is no way back."""
        known_peer(sources, name)
        await controls.revoke(token.name, name, command.reason)
        return done(token, "revoke", name)

    return router
