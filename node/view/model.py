"""Champion, challenger and rounds, folded."""

from __future__ import annotations

from collections import deque
from typing import Final

from node import journal
from node.view.history import History
from node.view.read_models import NAME_MAX, TEXT_MAX, ModelView, Rollback, RoundPoint, VersionView
from node.words import plain

ROUNDS_MAX: Final = 4096
VERSIONS_MAX: Final = 1024
ROLLBACKS_MAX: Final = 64
LAYERS_MAX: Final = 256
LAYER_ROUNDS_MAX: Final = 128


class Model:
    """What the rounds did to the model. A round that is played again replaces what was told of it and of later ones."""

    def __init__(self) -> None:
        self.rounds: History[RoundPoint] = History(ROUNDS_MAX)
        self.edition = 0
        """Grows with all that changes what `view` gives."""
        self._seen: tuple[int, ModelView] | None = None
        self.version = 0
        self.accuracy: float | None = None
        """Of the champion."""
        self._parameters = 0
        self._since: int | None = None
        self._promotions = self._rollbacks = 0
        self._versions: deque[VersionView] = deque(maxlen=VERSIONS_MAX)
        self._pending: journal.Promoted | None = None
        self._last_rollbacks: deque[Rollback] = deque(maxlen=ROLLBACKS_MAX)
        self._layer_change: dict[str, float] = {}
        self._layers: dict[str, deque[float]] = {}

    def view(self) -> ModelView:
        """Frozen; the same one until an event changes it."""
        if self._seen is None or self._seen[0] != self.edition:
            self._seen = self.edition, self._made()
        return self._seen[1]

    def _made(self) -> ModelView:
        last = self.rounds.last
        return ModelView(
            champion_version=self.version,
            champion_accuracy=self.accuracy,
            champion_since=self._since,
            challenger_accuracy=None if last is None else last.challenger_accuracy,
            challenger_loss=None if last is None else last.challenger_loss,
            promotions=self._promotions,
            rollbacks=self._rollbacks,
            parameters=self._parameters,
            versions=tuple(self._versions),
            last_rollbacks=tuple(self._last_rollbacks),
            layer_change=dict(self._layer_change),
            layer_history={name: tuple(changes) for name, changes in self._layers.items()},
            rounds=tuple(self.rounds),
            rounds_dropped=self.rounds.dropped,
        )

    def start(self, event: journal.Started) -> None:
        """A process began, perhaps from a checkpoint that is older than the last event."""
        self.edition += 1
        self._parameters = event.parameters
        if event.champion_version != self.version or event.holdout_accuracy is not None:
            self.accuracy = event.holdout_accuracy
        self.version, self._pending = event.champion_version, None

    def promote(self, event: journal.Promoted) -> None:
        """A challenger became champion; its accuracy is told when the round closes."""
        self.edition += 1
        self._promotions += 1
        self._pending = event

    def roll_back(self, event: journal.RolledBack) -> None:
        """The working model was given up."""
        self.edition += 1
        self._rollbacks += 1
        self._last_rollbacks.append(Rollback(event.round, event.at, event.to_version, plain(event.reason, TEXT_MAX)))
        if event.to_version != self.version:  # an older champion is in use again
            known = [version for version in self._versions if version.version == event.to_version]
            self.version = event.to_version
            self._since = event.round
            self.accuracy = known[-1].accuracy if known else None

    def close(self, event: journal.RoundClosed, event_id: int) -> None:
        """A round is over."""
        self.edition += 1
        if event.champion_version != self.version or self._pending is not None:
            self._crown(event)
        while (last := self.rounds.last) is not None and last.round >= event.round:
            self.rounds.pop()
        self.rounds.append(
            RoundPoint(
                id=event_id,
                round=event.round,
                at=event.at,
                averaged=event.outcome == "averaged",
                present=len(event.present),
                absent=len(event.absent),
                deadlines_missed=len(event.deadline_missed),
                loss=event.loss,
                challenger_loss=event.holdout_loss,
                challenger_accuracy=event.holdout_accuracy,
                champion_accuracy=self.accuracy,
                champion_version=event.champion_version,
                test_accuracy=event.test_accuracy,
                consensus_distance=event.consensus_distance,
                epsilon=event.epsilon,
                bytes_sent=event.bytes_sent,
                bytes_received=event.bytes_received,
                train_s=event.train_s,
                exchange_s=event.exchange_s,
                round_s=event.round_s,
            )
        )
        self._change(event.layer_change)

    def _crown(self, event: journal.RoundClosed) -> None:
        """The working model of a round that promoted is the champion: its figures are the champion's."""
        pending, self._pending = self._pending, None
        fits = pending is not None and pending.version == event.champion_version
        self.version, self.accuracy, self._since = event.champion_version, event.holdout_accuracy, event.round
        # Told before, and by a life or a round that was played again: it is another one now.
        while self._versions and self._versions[-1].version >= event.champion_version:
            self._versions.pop()
        self._versions.append(
            VersionView(
                version=event.champion_version,
                round=event.round,
                at=event.at,
                loss=pending.holdout_loss if fits and pending is not None else event.holdout_loss,
                previous_loss=pending.previous_holdout_loss if fits and pending is not None else None,
                accuracy=event.holdout_accuracy,
            )
        )

    def _change(self, changes: dict[str, float]) -> None:
        self._layer_change = {}
        for layer, change in changes.items():
            name = plain(layer, NAME_MAX)
            if name not in self._layers and len(self._layers) >= LAYERS_MAX:
                continue
            self._layer_change[name] = change
            self._layers.setdefault(name, deque(maxlen=LAYER_ROUNDS_MAX)).append(change)
