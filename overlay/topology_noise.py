"""What `[privacy]` says of noise, checked against the rest of the file before anything runs."""

from __future__ import annotations

from crypto.accountant import MAX_STEPS, AccountingError, calibrate, steps_of
from crypto.mechanisms import MechanismError, noise_shares
from overlay.topology_errors import Problem
from overlay.topology_privacy import Privacy
from overlay.topology_schema import Rounds, Task


def releases(privacy: Privacy, task: Task, rounds: Rounds) -> int:
    """Noised results that a node lets out over a whole run: one a round, but every step where rows are noised by
    themselves.
    """
    if privacy.dp == "record" and privacy.noise == "local":
        return rounds.count * steps_of(task.local_epochs, privacy.sampling)
    return rounds.count


def check_noise(privacy: Privacy, task: Task, rounds: Rounds, members: int | None) -> None:
    """Some noise keeps epsilon over the run, and enough members of a cell add it. Raises `Problem`.

    `members` is m of every cell, None where nothing is shared.
    """
    if privacy.dp == "off" or privacy.epsilon is None or privacy.delta is None:
        return
    if privacy.noise == "distributed" and members is not None:
        _check_shares(privacy, members)
    if privacy.dp == "record" and privacy.noise == "distributed":
        _check_step(task)
    steps = releases(privacy, task, rounds)
    if steps > MAX_STEPS:
        raise Problem(f"asks for {steps} releases; {MAX_STEPS} are the most", "run fewer rounds", "rounds.count")
    sampling = privacy.sampling if privacy.dp == "record" else 1.0
    try:
        calibrate(privacy.epsilon, privacy.delta, steps=steps, sampling=sampling, failure=privacy.delta / 1000)
    except AccountingError as error:
        where = f"= {privacy.epsilon:g} over {steps} releases: {error}"
        raise Problem(where, "allow another epsilon or delta, or run fewer rounds", "privacy.epsilon") from error


def _check_step(task: Task) -> None:
    only = "has no effect where noise on rows is distributed: a round is one step on a sample"
    if task.local_epochs != 1:
        raise Problem(f"= {task.local_epochs} {only}", "write 1, and more rounds", "task.local_epochs")
    if task.weight_decay:
        raise Problem(f"= {task.weight_decay:g} {only}", "take it out", "task.weight_decay")


def _check_shares(privacy: Privacy, members: int) -> None:
    liars = privacy.liars if privacy.sharing == "shamir" else 0
    try:
        noise_shares(members, privacy.tolerated, privacy.absentees, liars)
    except MechanismError as error:
        remedy = "use larger cells, or lower tolerated, absentees or liars"
        raise Problem(f'= "distributed" does not fit cells of {members}: {error}', remedy, "privacy.noise") from error
