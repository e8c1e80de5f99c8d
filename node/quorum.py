"""Whether enough of a node's committees are there for a round to be worth playing."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from consensus.phase import least_members
from crypto.identity import PeerId


def lacking(committees: Iterable[Collection[PeerId]], there: Collection[PeerId], share: float) -> str | None:
    """What a quorum of `share` lacks where only those in `there`, oneself among them, can take part; None where one
    committee at least can average. Who is alone in all of them lacks nobody.
    """
    shared = [committee for committee in committees if len(committee) > 1]
    counts = [(sum(member in there for member in committee), len(committee)) for committee in shared]
    if not counts or any(present >= least_members(share, members) for present, members in counts):
        return None
    present, members = counts[0]
    least = least_members(share, members)
    return f"{present} of {members} members of its committee are up, itself included; {least} make a quorum"
