"""The table `[privacy]` of a topology file: what peers may learn of updates, and of the rows behind them."""

from __future__ import annotations

from typing import Final, Literal, Self

from pydantic import Field, model_validator

from consensus.private_terms import MAX_KEPT
from overlay.section import Section
from overlay.topology_errors import Problem

MAX_ROWS: Final = 1 << 40

_READ: Final[dict[str, tuple[str, ...]]] = {
    "none": (),
    "shamir": ("tolerated", "packing", "liars", "absentees", "clip", "coordinates", "screen", "keep_rounds"),
    "masks": ("tolerated", "absentees", "clip", "coordinates"),
    "ckks": ("tolerated", "absentees", "clip", "coordinates"),
    "bfv": ("tolerated", "absentees", "clip", "coordinates"),
}
"""What each kind of sharing reads."""
_NOISED: Final[dict[str, tuple[str, ...]]] = {
    "off": (),
    "update": ("noise", "epsilon", "delta", "clip"),
    "record": ("noise", "epsilon", "delta", "record_clip", "sampling", "rows"),
}
"""What each kind of differential privacy reads."""


class Privacy(Section):
    """What peers may learn of each other's updates."""

    sharing: Literal["none", "shamir", "masks", "ckks", "bfv"] = "none"
    """none: neighbours see models | shamir: only a cell's sum, proved | masks: only its sum | ckks, bfv: encrypted"""
    tolerated: int = Field(default=2, ge=1, le=255)
    """t: members of a cell that learn nothing else even if they pool what they know."""
    packing: int = Field(default=3, ge=1, le=255)
    """Values that one share carries: more is less traffic, and needs more members."""
    liars: int = Field(default=1, ge=0, le=255)
    """Members of a cell that may send anything without changing a sum unnoticed."""
    absentees: int = Field(default=1, ge=0, le=255)
    """Members of a cell that a round can do without."""
    clip: float = Field(default=2.0, gt=0, le=1e6)
    """Largest Euclidean norm of an update; a longer one is shortened to it."""
    coordinates: float = Field(default=1.0, gt=0, le=1)
    """Share of the parameters that a round is about, drawn anew each round; what is left out waits."""
    screen: bool = False
    """Whether a cell weighs its updates by noised distances, so as to bear consensus.byzantine liars in it."""
    screen_noise: float = Field(default=0.1, ge=1e-3, le=10)
    """Deviation of the noise on a squared distance, in (clip / 0.9) squared: more hides more, and screens worse."""
    keep_rounds: int | None = Field(default=None, ge=0, le=MAX_KEPT)
    """Rounds whose shares holders keep, to take out what a convict brought; left out: 3 where cells are fixed."""
    dp: Literal["off", "record", "update"] = "off"
    """off: no noise | record: a row of a node's data is hidden | update: all that a node does is hidden"""
    noise: Literal["local", "distributed"] = "local"
    """local: each node adds all of it | distributed: each a share, so that the sum has all of it (needs sharing)"""
    epsilon: float | None = Field(default=None, gt=0, le=1e4)
    """The most that the whole run may cost."""
    delta: float | None = Field(default=None, gt=0, lt=1)
    """Probability with which epsilon may not hold: well below one in the number of rows."""
    record_clip: float = Field(default=0.5, gt=0, le=1e6)
    """Largest Euclidean norm of the gradient of one row; a longer one is shortened to it."""
    sampling: float = Field(default=1.0, gt=0, le=1)
    """Probability with which a row takes part in a step."""
    rows: int | None = Field(default=None, ge=1, le=MAX_ROWS)
    """Rows a node trains on, as all may know; left out: those of the data, shared out evenly."""

    def unused(self) -> frozenset[str]:
        """What the chosen sharing and noise do not read."""
        read = {"sharing", "dp", *_READ[self.sharing], *_NOISED[self.dp]}
        if self.screen:
            read.add("screen_noise")
        if self.dp == "record" and self.noise == "distributed":
            read.discard("clip")  # the sum of clipped gradients has a bound of its own
        return frozenset(type(self).model_fields) - read

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if self.sharing in ("ckks", "bfv") and self.tolerated > 1:
            raise Problem(
                f'= {self.tolerated} does not hold with sharing = "{self.sharing}": whoever has the key and whoever '
                "adds up read every update if they pool what they know",
                'write tolerated = 1, or use sharing = "shamir" or "masks"',
                "tolerated",
            )
        if self.screen:
            self._screen_goes_with_the_rest()
        if self.dp == "off":
            self._no_claim_without_noise()
            return self
        for key in ("epsilon", "delta"):
            if getattr(self, key) is None:
                example = "epsilon = 4.0" if key == "epsilon" else "delta = 1e-5"
                raise Problem(f'is missing beside dp = "{self.dp}"', f"add {example}, say", key)
        if self.noise == "distributed" and self.sharing == "none":
            what = '= "distributed" needs sharing: one share of the noise protects nothing by itself'
            raise Problem(what, 'set sharing = "shamir", or use noise = "local"', "noise")
        return self

    def _screen_goes_with_the_rest(self) -> None:
        if self.sharing != "shamir":
            what = (
                f'= true needs sharing = "shamir", whose proofs carry sketches of updates; here it is "{self.sharing}"'
            )
            raise Problem(what, 'set sharing = "shamir", or take it out', "screen")
        if self.dp != "off" and self.noise == "distributed":
            what = (
                '= true does not go with noise = "distributed": distances would be paid for in every round, and noise '
                "that keeps the price of a run bearable (three times clip squared for epsilon = 4) drowns them"
            )
            raise Problem(
                what, 'use noise = "local", after which distances cost nothing more, or take it out', "screen"
            )

    def _no_claim_without_noise(self) -> None:
        """Nobody shall read a budget in a file that adds no noise."""
        claims = [key for key in ("epsilon", "delta", "rows") if getattr(self, key) is not None]
        if self.noise == "distributed":
            claims.append("noise")
        if claims:
            raise Problem('has no effect with dp = "off"', 'set dp = "record" or "update", or take it out', claims[0])
