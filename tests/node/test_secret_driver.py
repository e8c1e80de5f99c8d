"""How a private round is fed: in batches, never twice at once, while the loop goes on."""

import math
from dataclasses import dataclass, field

import numpy as np
import pytest
import trio
import trio.testing

from consensus.compute import Compute as Computing
from consensus.compute import Computed
from consensus.effects import Close, Down, Heard, Outcome, Send, Tick, Up, WakeAt
from consensus.encrypted_messages import Opened
from consensus.errors import RemoteFault
from consensus.meeting_messages import BaseCopy, Standing
from consensus.messages import Contribution
from node.compute import InlineCompute, ThreadCompute
from node.jobs import ComputedJobs
from node.secret_driver import MESSAGES_WAIT, SecretDriver

OUTCOME = Outcome(vector=None, averaged=True, present=(), absent=(), deadline_missed=(), consensus_distance=None)


@dataclass
class Machine:
    """Notes what it is told; answers by what `script` gives for the event's type."""

    script: dict = field(default_factory=dict)
    number: int = 4
    outcome: Outcome | None = None
    told: list = field(default_factory=list)
    inside: int = 0

    def start(self, now):
        self.told.append("start")
        return self.script.get("start", [])

    def receive(self, event, now):
        self.inside += 1
        assert self.inside == 1, "two calls at once"
        self.told.append(event)
        answer = self.script.get(type(event), [])
        self.inside -= 1
        if isinstance(answer, Exception):
            raise answer
        if any(isinstance(effect, Close) for effect in answer):
            self.outcome = OUTCOME
        return answer


class Gate(InlineCompute):
    """Lets nothing run until it is opened: as if the machine thought for long."""

    def __init__(self) -> None:
        self.opened = trio.Event()
        self.runs = 0

    async def run(self, work):
        self.runs += 1
        await self.opened.wait()
        return work()


class Driven:
    def __init__(self, machine, machines=None, most_bytes=10_000, jobs=None) -> None:
        self.sent, self.accused = [], []
        self.driver = SecretDriver(
            machine,
            machines=machines or InlineCompute(),
            jobs=jobs or ComputedJobs(InlineCompute()),
            send=lambda peer, message: self.sent.append((peer, message)),
            accuse=self.accused.append,
            most_bytes=most_bytes,
        )


def standing(number):
    return Standing(number, bytes(32), 0)


async def test_what_was_told_before_comes_before_the_start(nursery):
    machine = Machine({"start": [Send("b", standing(4))]})
    driven = Driven(machine)
    driven.driver.tell(Heard("a", standing(4)))
    nursery.start_soon(driven.driver.run)
    await trio.testing.wait_all_tasks_blocked()
    assert machine.told == [Heard("a", standing(4)), "start"]
    assert driven.sent == [("b", standing(4))]


async def test_what_happens_while_it_thinks_is_one_batch_in_order(nursery):
    machine, gate = Machine(), Gate()
    driven = Driven(machine, gate)
    nursery.start_soon(driven.driver.run)
    await trio.testing.wait_all_tasks_blocked()
    events = [Up("a"), Heard("a", standing(4)), Down("a")]
    for event in events:
        driven.driver.tell(event)
    assert machine.told == []
    gate.opened.set()
    await trio.testing.wait_all_tasks_blocked()
    assert machine.told == ["start", *events]
    assert gate.runs == 2


async def test_the_loop_goes_on_while_a_thread_thinks(nursery):
    entered, hold = trio.Event(), []
    machine = Machine()

    def start(now):
        trio.from_thread.run_sync(entered.set)
        while not hold:  # the loop below fills it: were the loop held up, this would never end
            trio.from_thread.check_cancelled()
        return [Send("b", standing(4))]

    machine.start = start
    driven = Driven(machine, ThreadCompute())
    nursery.start_soon(driven.driver.run)
    with trio.fail_after(30):
        await entered.wait()
        hold.append(True)
        while not driven.sent:  # noqa: ASYNC110 - the driver has no event for it
            await trio.sleep(0.001)


async def test_it_is_woken_when_it_asked_to_be_and_not_again(nursery, autojump_clock):
    machine = Machine({"start": [WakeAt(trio.current_time() + 3)]})
    nursery.start_soon(Driven(machine).driver.run)
    await trio.sleep(2.9)
    assert machine.told == ["start"]
    await trio.sleep(100)
    assert machine.told == ["start", Tick()]


async def test_a_fault_is_told_and_followed_by_a_tick(nursery):
    machine = Machine({Up: RemoteFault("a", "lies")})
    driven = Driven(machine)
    nursery.start_soon(driven.driver.run)
    driven.driver.tell(Up("a"))
    driven.driver.tell(Down("b"))
    await trio.testing.wait_all_tasks_blocked()
    assert machine.told == [Up("a"), Tick(), Down("b"), "start"]
    assert [(fault.culprit, fault.reason) for fault in driven.accused] == [("a", "lies")]


@dataclass(frozen=True)
class Job:
    value: int

    def run(self):
        return self.value + 1


async def test_a_job_comes_back_as_an_event(nursery):
    machine = Machine({"start": [Computing(7, Job(1)), Computing(8, Job(2))]})
    nursery.start_soon(Driven(machine).driver.run)
    await trio.testing.wait_all_tasks_blocked()
    results = {(event.ticket, event.result) for event in machine.told if isinstance(event, Computed)}
    assert results == {(7, 2), (8, 3)}


async def test_a_closed_round_still_answers_and_is_not_woken(nursery, autojump_clock):
    machine = Machine({Up: [WakeAt(1.0), Close(OUTCOME), Send("a", standing(4))], Down: [Send("b", standing(4))]})
    driven = Driven(machine)
    nursery.start_soon(driven.driver.run)
    driven.driver.tell(Up("a"))
    await driven.driver.closed.wait()
    assert driven.sent == [("a", standing(4))]
    driven.driver.tell(Down("b"))
    await trio.sleep(10)
    assert driven.sent[1:] == [("b", standing(4))]
    assert Tick() not in machine.told


VECTOR = np.zeros(1500, np.float32)


@pytest.mark.parametrize(
    "flood",
    [BaseCopy(4, bytes(6000)), standing(4), Contribution(4, 1, VECTOR), Opened(4, b"c", bytes(64), VECTOR)],
)
async def test_a_flood_while_it_thinks_costs_the_flooder_alone(nursery, flood):
    machine, gate = Machine(), Gate()
    driven = Driven(machine, gate)
    nursery.start_soon(driven.driver.run)
    await trio.testing.wait_all_tasks_blocked()
    for _ in range(2 * MESSAGES_WAIT):
        driven.driver.tell(Heard("liar", flood))
    driven.driver.tell(Heard("honest", flood))
    driven.driver.tell(Down("liar"))
    gate.opened.set()
    await trio.testing.wait_all_tasks_blocked()
    from_liar = [event for event in machine.told if isinstance(event, Heard) and event.peer == "liar"]
    size = 0 if isinstance(flood, Standing) else 6000
    assert len(from_liar) == min(MESSAGES_WAIT, 10_000 // size if size else math.inf)
    assert machine.told[-2:] == [Heard("honest", flood), Down("liar")]
    driven.driver.tell(Heard("liar", flood))  # there is room again
    await trio.testing.wait_all_tasks_blocked()
    assert machine.told[-1] == Heard("liar", flood)
