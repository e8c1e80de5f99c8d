"""What is beyond the view's memory: rows of the store, read and written out in a thread of their own.

The store is up with the journal but for a few seconds; after a restart, or with a database that was away, it comes
after it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from node.api.access import BEARER, Needs
from node.api.history_schemas import (
    EvidenceAnswer,
    OperationsAnswer,
    ReputationAnswer,
    RoundsAnswer,
    VerdictsAnswer,
    VersionsAnswer,
)
from node.api.problems import Refusal, documented
from node.api.reads import PeerName
from node.api.sources import Sources
from node.store.database import StoreFailed
from node.store.store import Row

ROWS = 200
MOST_ROWS = 1000
Limit = Annotated[int, Query(ge=1, le=MOST_ROWS, description="Rows at most.")]
Before = Annotated[int | None, Query(ge=0, le=2**62, description="Older than the row with this `id`.")]
Answer = type[RoundsAnswer | EvidenceAnswer | ReputationAnswer | VerdictsAnswer | OperationsAnswer | VersionsAnswer]


def history(sources: Sources) -> APIRouter:
    """The endpoints that read the store; a token with the scope `read` opens them."""
    router = APIRouter(
        prefix="/v1",
        tags=["kept"],
        dependencies=[Depends(BEARER), Depends(Needs("read"))],
        responses=documented(401, 403, 422, 429, 503),
    )
    store = sources.store

    async def answer(kind: Answer, read: Callable[[], list[Row]]) -> Any:
        """Rows that `read` gives, as JSON: a thousand of them would hold the loop up for longer than a round."""

        def work() -> bytes:
            with store.database.failing():
                return kind.of(read()).model_dump_json().encode()

        try:
            return Response(await sources.compute.run(work), media_type="application/json")
        except StoreFailed as failure:
            raise Refusal(503, failure.problem, failure.remedy, {"Retry-After": "10"}) from failure

    @router.get("/rounds", response_model=RoundsAnswer)
    async def rounds(
        since: Annotated[int, Query(ge=0, le=2**62, description="First round.")] = 0, limit: Limit = ROWS
    ) -> Any:
        """Closed rounds from one on, oldest first: ask again from the last one's number for more."""
        return await answer(RoundsAnswer, lambda: store.rounds(since, limit))

    @router.get("/operations", response_model=OperationsAnswer)
    async def operations(limit: Limit = ROWS, before: Before = None) -> Any:
        """What operators did, newest first, over all lives of the node."""
        return await answer(OperationsAnswer, lambda: store.operations(limit, before))

    @router.get("/model/versions", response_model=VersionsAnswer, responses=documented(422))
    async def versions() -> Any:
        """The champions that the node keeps, newest first: what it can be rolled back to."""
        return await answer(VersionsAnswer, store.models.versions)

    @router.get("/peers/{name}/evidence", response_model=EvidenceAnswer)
    async def evidence(name: PeerName, limit: Limit = ROWS, before: Before = None) -> Any:
        """What was ever held against a peer, newest first; nothing for one that the node never met."""
        return await answer(EvidenceAnswer, lambda: store.evidence(name, limit, before))

    @router.get("/peers/{name}/reputation", response_model=ReputationAnswer)
    async def reputation(name: PeerName, limit: Limit = ROWS, before: Before = None) -> Any:
        """The changes of a peer's reputation, newest first."""
        return await answer(ReputationAnswer, lambda: store.reputation(name, limit, before))

    @router.get("/peers/{name}/verdicts", response_model=VerdictsAnswer)
    async def verdicts(name: PeerName, limit: Limit = ROWS, before: Before = None) -> Any:
        """The changes of a peer's verdict, newest first, and whether an operator has seen to them."""
        return await answer(VerdictsAnswer, lambda: store.verdicts(name, limit, before))

    return router
