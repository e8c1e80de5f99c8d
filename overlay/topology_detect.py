"""The table `[detect]` of a topology file: what a node makes of what its peers do, each by itself."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from overlay.section import Section
from overlay.topology_errors import Problem


class Detect(Section):
    """What a node makes of what its peers do."""

    enabled: bool = True
    """Whether peers that harm the average are shunned."""
    penalty: float = Field(default=25.0, gt=0, le=100)
    """Reputation, of 100, that a grave fact costs."""
    limit: float = Field(default=50.0, gt=0, lt=75)
    """Reputation below which a peer is quarantined: heard, and not averaged."""
    quarantine_s: float = Field(default=120.0, gt=0, le=1e7)
    """How long, the first time; each further time twice as long."""
    z_limit: float = Field(default=3.0, ge=1, le=100)
    """Deviations from the median peer beyond which a peer is looked at more closely."""
    forest: bool = True
    """Whether an Isolation Forest learns what updates look like here (open rounds)."""
    group_test: bool = True
    """Whether sums over changing members tell who pulls them away (secret rounds)."""
    bench: int = Field(default=0, ge=0, le=1)
    """Members of a fixed cell, in turn, that bring nothing to a round, so that its members change; all must agree."""

    def unused(self) -> frozenset[str]:
        """Nothing else is read where nobody looks."""
        return frozenset() if self.enabled else frozenset(type(self).model_fields) - {"enabled", "bench"}

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if self.bench and not (self.enabled and self.group_test):
            raise Problem("= 1 is for the group test, which is off", "set group_test = true, or bench = 0", "bench")
        return self
