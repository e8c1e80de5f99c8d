"""What a node takes over of a private round, which a thread may still be closing."""

from types import SimpleNamespace

from consensus.effects import Outcome
from node.compute import InlineCompute
from node.jobs import ComputedJobs
from node.private_player import Privately, PrivatePlayer

OUTCOME = Outcome(vector=None, averaged=True, present=(), absent=(), deadline_missed=(), consensus_distance=None)


class Closing:
    """A round that is given up, and closes as soon as anybody has looked."""

    number = 4
    secret = None
    faults = ()
    base = "that of the round"
    vault = "what it kept"
    recovered = None

    def __init__(self, outcomes) -> None:
        self.outcomes = outcomes

    @property
    def outcome(self):
        return self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]


def player(base="ours"):
    means = Privately(SimpleNamespace(base=base, vault="ours"), InlineCompute(), ComputedJobs(InlineCompute()))
    return PrivatePlayer(means, SimpleNamespace(send=None), SimpleNamespace(fault=None), None)


def test_model_and_base_are_taken_over_together_or_not_at_all():
    """The model of a round without its base: what all had learned would be learned again."""
    one = player()
    assert one.end(Closing([None, OUTCOME])) is None
    assert (one.guard.base, one.guard.vault) == ("ours", "ours")
    assert one.end(Closing([OUTCOME])) is OUTCOME
    assert (one.guard.base, one.guard.vault) == ("that of the round", "what it kept")
