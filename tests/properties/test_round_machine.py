"""One round, any order of events: honest words, repeats, lies, comings and goings, and the clock."""

import math

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from consensus.effects import Close, Down, Heard, Send, Tick, Up, WakeAt
from consensus.errors import RemoteFault
from consensus.messages import Contribution
from consensus.round import Round
from consensus.rules import mean
from crypto.identity import PeerId

ME = PeerId("me")
PEERS = [PeerId(name) for name in "abyz"]
STRANGER = PeerId("stranger")
NUMBER = 7
SIZE = 3
DEADLINE_S = 10.0
PHASES = st.integers(0, 3)


def honest(peer, phase):
    """What `peer` says in `phase`, the same each time."""
    values = np.array([(phase + 1) * (PEERS.index(peer) + 1), -1.0, 0.5], dtype=np.float32)
    values.flags.writeable = False
    return values


class AnyRound(RuleBasedStateMachine):
    @initialize(
        phases=st.lists(st.lists(st.sampled_from(PEERS), unique=True), min_size=1, max_size=3),
        quorum=st.sampled_from([0.0, 0.5, 0.6, 1.0]),
        absent=st.lists(st.sampled_from(PEERS)),
        passed=st.lists(st.sampled_from(PEERS)),
    )
    def begin(self, phases, quorum, absent, passed):
        self.members = [{ME, *peers} for peers in phases]
        self.quorum = quorum
        weights = [dict.fromkeys([ME, *peers], 1 / (1 + len(peers))) for peers in phases]
        self.now = 50.0
        self.mine = np.array([0.0, 0.0, 0.0], dtype=np.float32)
        self.spoke = set()
        self.convicted = set()
        self.sent = set()
        self.wake = math.inf
        self.closed = None
        self.reference = [self.mine]
        self.round = Round(
            ME,
            NUMBER,
            weights,
            self.mine,
            rule=self.record,
            quorum=quorum,
            deadline_s=DEADLINE_S,
            absent=absent,
            passed=passed,
        )
        self.perform(self.round.start(self.now))

    def record(self, vectors, weights, standpoint):
        assert 0 <= standpoint.own < len(vectors)
        assert math.isclose(sum(weights), 1.0, abs_tol=1e-12)
        assert min(weights) >= 0
        self.reference += vectors
        return mean(vectors, weights)

    def perform(self, effects):
        for effect in effects:
            assert self.closed is None or isinstance(effect, Send)
            match effect:
                case Send(peer, message):
                    assert peer in self.members[message.phase] - {ME}
                    assert (message.round, message.vector.flags.writeable) == (NUMBER, False)
                    self.sent.add((peer, message.phase))
                case WakeAt(time):
                    assert time > 50.0
                    self.wake = time
                case Close(outcome):
                    self.closed = outcome

    def tell(self, event):
        self.perform(self.round.receive(event, self.now))

    def lie(self, peer, phase, vector):
        try:
            self.tell(Heard(peer, Contribution(NUMBER, phase, vector)))
        except RemoteFault as fault:
            assert fault.culprit == peer  # noqa: PT017 - there may be no fault as well
            assert (peer, phase) not in self.convicted
            assert self.closed is None
            self.convicted.add((peer, phase))

    # --- events ---------------------------------------------------------------------------------------------------

    @rule(peer=st.sampled_from(PEERS), phase=PHASES)
    def hear(self, peer, phase):
        self.spoke.add(peer)
        self.tell(Heard(peer, Contribution(NUMBER, phase, honest(peer, phase))))

    @rule(peer=st.sampled_from(PEERS), phase=PHASES, offset=st.sampled_from([-3, -1, 1, 2, 10**9]))
    def hear_of_another_round(self, peer, phase, offset):
        self.tell(Heard(peer, Contribution(max(0, NUMBER + offset), phase, np.full(SIZE, np.nan, dtype=np.float32))))

    @rule(phase=PHASES)
    def hear_a_stranger(self, phase):
        self.tell(Heard(STRANGER, Contribution(NUMBER, phase, np.full(1, np.nan, dtype=np.float32))))

    @rule(peer=st.sampled_from(PEERS), phase=PHASES, size=st.sampled_from([0, 1, SIZE + 1]))
    def hear_a_wrong_length(self, peer, phase, size):
        self.lie(peer, phase, np.zeros(size, dtype=np.float32))

    @rule(peer=st.sampled_from(PEERS), phase=PHASES, value=st.sampled_from([np.nan, np.inf, -np.inf]))
    def hear_no_number(self, peer, phase, value):
        self.lie(peer, phase, np.array([0, value, 0], dtype=np.float32))

    @rule(peer=st.sampled_from(PEERS), phase=PHASES)
    def hear_two_different_words(self, peer, phase):
        self.spoke.add(peer)
        self.lie(peer, phase, np.ones(SIZE, dtype=np.float32))
        self.lie(peer, phase, np.zeros(SIZE, dtype=np.float32))
        if self.closed is None and phase < len(self.members) and not self.past(phase):
            assert peer not in self.members[phase] or (peer, phase) in self.convicted

    def past(self, phase):
        return any(later > phase for _, later in self.sent) or self.wake > 50.0 + (phase + 1) * DEADLINE_S

    @rule(peer=st.sampled_from([*PEERS, STRANGER]))
    def go_down(self, peer):
        self.tell(Down(peer))
        assert peer not in self.round.awaited

    @rule(peer=st.sampled_from([*PEERS, STRANGER]))
    def come_up(self, peer):
        effects = self.round.receive(Up(peer), self.now)
        again = [effect.message.phase for effect in effects if isinstance(effect, Send) and effect.peer == peer]
        assert {phase for other, phase in self.sent if other == peer} <= set(again)
        self.perform(effects)

    @rule(seconds=st.sampled_from([0.0, 0.1, 4.0]))
    def time_passes(self, seconds):
        """Never past an alarm: a tick is due there."""
        self.now = max(self.now, min(self.now + seconds, self.wake)) if self.closed is None else self.now + seconds
        self.tell(Tick())

    @precondition(lambda self: self.closed is None)
    @rule()
    def the_alarm_rings(self):
        before = self.wake
        self.now = max(self.now, self.wake)
        self.tell(Tick())
        assert self.closed is not None or self.wake > before

    # --- what always holds ----------------------------------------------------------------------------------------

    @invariant()
    def the_outcome_is_what_the_effect_said(self):
        assert self.round.outcome is self.closed

    @invariant()
    def it_is_over_by_the_last_deadline(self):
        if self.now >= 50.0 + len(self.members) * DEADLINE_S:
            assert self.closed is not None

    @invariant()
    def the_result_lies_between_what_was_averaged(self):
        if self.closed is not None:
            low, high = np.min(self.reference, axis=0), np.max(self.reference, axis=0)
            assert (self.closed.vector >= low).all()
            assert (self.closed.vector <= high).all()

    @invariant()
    def the_sets_fit(self):
        out = self.closed
        if out is None:
            return
        everybody = set().union(*self.members) - {ME}
        assert set(out.present) | set(out.absent) <= everybody
        assert set(out.deadline_missed) <= set(out.absent)
        assert out.averaged == (out.consensus_distance is not None)
        assert {peer for peer, _ in self.convicted} <= set(out.absent)
        if out.averaged and self.quorum == 1.0 and all(len(members) > 1 for members in self.members):
            assert out.present
        if not out.averaged:
            assert out.vector.tobytes() == self.mine.tobytes()
            assert not out.present

    @invariant()
    def who_said_nothing_of_the_right_form_is_not_present(self):
        if self.closed is not None:
            assert set(self.closed.present) <= self.spoke


AnyRound.TestCase.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
TestAnyRound = AnyRound.TestCase
