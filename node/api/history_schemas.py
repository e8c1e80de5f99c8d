"""What the API gives from the store: rows as they are kept, with all text made harmless."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from node.journal import VerdictName
from node.store.database import Damaged
from node.view.read_models import NAME_MAX, TEXT_MAX
from node.words import plain

Name = Annotated[str, AfterValidator(partial(plain, limit=NAME_MAX))]
Text = Annotated[str, AfterValidator(partial(plain, limit=TEXT_MAX))]


class _Row(BaseModel):
    id: int = Field(description="Place in the store; `before` takes it.")
    event: int = Field(description="Id of the event in the journal that it came from.")
    life: int = Field(description="How often the node had begun anew from round 0.")
    at: float = Field(description="Seconds since 1970.")
    round: int


class KeptRound(_Row):
    """A closed round. Accuracies are shares of 1, losses nats, `epsilon` what may have left the node by then."""

    outcome: str
    void: Text | None = Field(description="Why nothing was summed.")
    present: tuple[Name, ...]
    absent: tuple[Name, ...]
    train_s: float
    exchange_s: float
    round_s: float
    loss: float | None
    holdout_loss: float | None
    holdout_accuracy: float | None
    test_accuracy: float | None
    consensus_distance: float | None
    bytes_sent: int
    bytes_received: int
    champion_version: int
    epsilon: float | None


class KeptEvidence(_Row):
    """A fact against a peer."""

    peer: Name
    kind: Name
    severity: str
    reason: Text


class KeptReputation(_Row):
    """A change of a peer's reputation."""

    peer: Name
    score: float


class KeptVerdict(_Row):
    """A change of a peer's verdict."""

    peer: Name
    before: VerdictName
    after: VerdictName
    until: float = Field(description="End of a quarantine, seconds since 1970; 0 without one.")
    reason: Text
    reviewed_at: float | None = Field(description="When an operator saw to it.")
    reviewed_by: Name | None


class KeptOperation(_Row):
    """What an operator did."""

    actor: Name = Field(description="The name of the token.")
    action: str
    target: Name
    reason: Text


class HeldAgainst(BaseModel):
    """How a peer stood when a champion was made."""

    reputation: float
    verdict: VerdictName
    evidence: int = Field(description="Facts against it by then.")


class KeptVersion(BaseModel):
    """A champion that can be brought back."""

    version: int
    life: int
    at: float
    round: int
    holdout_loss: float | None
    holdout_accuracy: float | None
    evidence: dict[Name, HeldAgainst] = Field(description="Peers against whom there was anything.")
    size_bytes: int


class _Answer(BaseModel):
    rows: tuple[Any, ...]

    @classmethod
    def of(cls, rows: list[dict[str, Any]]) -> Self:
        """From rows of the store. Raises Damaged where one is none: SQLite keeps whatever it is given."""
        try:
            return cls.model_validate({"rows": rows})
        except ValidationError as error:
            fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
            raise Damaged(f"{'.'.join(plain(str(part), 40) for part in fault['loc'])}: {fault['msg']}") from None


class RoundsAnswer(_Answer):
    """Rounds of this life, oldest first."""

    rows: tuple[KeptRound, ...]


class EvidenceAnswer(_Answer):
    """Facts, newest first."""

    rows: tuple[KeptEvidence, ...]


class ReputationAnswer(_Answer):
    """Changes, newest first."""

    rows: tuple[KeptReputation, ...]


class VerdictsAnswer(_Answer):
    """Changes, newest first."""

    rows: tuple[KeptVerdict, ...]


class OperationsAnswer(_Answer):
    """Orders, newest first."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "rows": [
                        {
                            "id": 4,
                            "event": 48213,
                            "life": 1,
                            "at": 1760000000.0,
                            "round": 17,
                            "actor": "alice",
                            "action": "quarantine",
                            "target": "press-2",
                            "reason": "sensor under repair",
                        }
                    ]
                }
            ]
        }
    )

    rows: tuple[KeptOperation, ...]


class VersionsAnswer(_Answer):
    """Champions of this life, newest first."""

    rows: tuple[KeptVersion, ...]
