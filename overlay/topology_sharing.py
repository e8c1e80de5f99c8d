"""From `[privacy]` to how secret phases are run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from consensus.encrypted_sharing import EncryptedSharing
from consensus.encrypted_terms import MIN_CIPHERTEXTS
from consensus.errors import PlanError
from consensus.masked_sharing import MaskedSharing
from consensus.screen import DEFAULT_RULE, Screen, by_distances
from consensus.shamir_sharing import ShamirSharing
from consensus.sharing import Sharing
from crypto.fixedpoint import FixedPoint
from overlay.topology_privacy import Privacy

MIN_HONEST: Final = 2
KEPT_ROUNDS: Final = 3
"""Rounds that shares are kept of where the file does not say."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a sharing takes from the rest of the file."""

    members: int
    """Of every cell."""
    deadline_s: float
    swarm: bytes = bytes(32)
    layout: bytes = bytes(32)
    encoding: FixedPoint | None = None
    """How updates are written where noise decides that; else it follows from `clip`."""
    bench: int = 0
    """Members of a cell that bring nothing to a round, in turn."""
    rule: str = "mean"
    """How vectors are averaged; a screen takes it where it needs distances alone."""
    byzantine: int = 0
    """Members of a committee that the rule is to bear."""
    fixed: bool = False
    """Whether cells have the same members in every round."""


def sharing_of(privacy: Privacy, setting: Setting) -> Sharing:
    """The sharing that `privacy` asks for, which is not none. Raises PlanError with the bound that does not hold."""
    about: dict[str, Any] = {
        "members": setting.members,
        "absentees": privacy.absentees,
        "clip": privacy.clip if setting.encoding is None else None,
        "encoding": setting.encoding,
        "deadline_s": setting.deadline_s,
        "swarm": setting.swarm,
        "layout": setting.layout,
    }
    honest = noise_shares(privacy, setting.members - setting.bench)
    if honest is None and setting.bench:
        honest = max(1, updates_of_others(privacy, setting.members - setting.bench))
    screen = screen_of(privacy, setting)
    if screen is not None:
        # What the rule leaves out is not in the sum: it is of so many fewer.
        bring = setting.members - setting.bench
        honest = max(1, min(updates_of_others(privacy, bring), bring - privacy.tolerated - screen.byzantine))
    match privacy.sharing:
        case "shamir":
            return ShamirSharing(
                **about,
                tolerated=privacy.tolerated,
                packed=privacy.packing,
                liars=privacy.liars,
                least_honest=honest,
                screen=screen,
                keep_rounds=kept_rounds(privacy, fixed=setting.fixed),
            )
        case "masks":
            return MaskedSharing(**about, tolerated=privacy.tolerated, least_honest=max(MIN_HONEST, honest or 0))
        case _:
            kind = cast(Literal["ckks", "bfv"], privacy.sharing)
            # The keeper is the one that is tolerated: it reads the sum of the others.
            return EncryptedSharing(**about, kind=kind, least=max(MIN_CIPHERTEXTS, honest or 0))


def kept_rounds(privacy: Privacy, *, fixed: bool) -> int:
    """W, where those who hold a member's shares meet again, and rounds are about the same coordinates; else 0."""
    if not fixed or privacy.sharing != "shamir" or privacy.coordinates < 1:
        return 0
    return KEPT_ROUNDS if privacy.keep_rounds is None else privacy.keep_rounds


def screen_of(privacy: Privacy, setting: Setting) -> Screen | None:
    """How a cell weighs its updates; None where it does not. Raises PlanError."""
    if not privacy.screen:
        return None
    if not setting.byzantine:
        raise PlanError("a screen bears a number of liars, and consensus.byzantine = 0")
    rule = setting.rule if by_distances(setting.rule) else DEFAULT_RULE
    return Screen(rule, setting.byzantine, privacy.screen_noise)


def noise_shares(privacy: Privacy, members: int) -> int | None:
    """h = m − t − f − e with distributed noise: shares that no colluder knows in the smallest sum that is opened, in
    which f do not take part, and e more that were found to lie. None without.
    """
    if privacy.dp == "off" or privacy.noise != "distributed":
        return None
    return updates_of_others(privacy, members)


def updates_of_others(privacy: Privacy, members: int) -> int:
    """m − t − f − e of so many that bring something: in the smallest sum, those that colluders did not bring."""
    liars = privacy.liars if privacy.sharing == "shamir" else 0
    return members - privacy.tolerated - privacy.absentees - liars
