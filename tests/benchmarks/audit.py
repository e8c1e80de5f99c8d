"""The privacy audit: what attackers get out of what t colluders see, mode by mode, beside what is claimed.

Everything goes through the real state machines, mechanisms and trainers; `tests/audit` has the attacks and says how
bounds come about. Where a claim is deliberately broken, the audit has to notice.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from consensus.committee import plan
from crypto.shamir import Packing
from tests.audit import channels, records
from tests.audit.differencing import isolated, sums_seen
from tests.audit.games import DELTA, Cheat, Claim, Pair, distributed, local
from tests.audit.records import Records
from tests.audit.statistics import CONFIDENCE, Rates, auc, auc_deviation, tail_threshold
from tests.benchmarks.machine import Figures, rounded, show_table

CELL = Packing(8, 2, 3, 1, 1)
COLLUDERS, ABSENT = (0, 5), (3, 4)
HONEST = [1, 2, 3, 4, 6, 7]
CANARIES = 4000
COORDINATES = 16_000
TARGETS = (1.0, 4.0, 8.0)
GAMES = {1.0: 12, 4.0: 6, 8.0: 6}
"""Runs of CANARIES games each: a smaller ε takes more to see."""
RECORD_TARGETS = (0.25, 1.0, 8.0)
SEEDS = 5


@dataclass(frozen=True)
class Measured:
    """What games show of one claim."""

    claimed: float
    gaussian: float
    """ε at least, as μ is claimed."""
    by_rates: float
    """ε at least, by error rates alone."""
    games: int


def play(claim: Claim, game: Callable[[int], Pair], runs: int) -> Measured:
    """Bounds from so many runs of a game, by its seed."""
    pairs = [game(seed) for seed in range(runs)]
    present, missing = (np.concatenate(side) for side in zip(*pairs, strict=True))
    trials = min(present.size, missing.size)
    tail = Rates.of(present, missing, tail_threshold(claim.mu, trials, DELTA))
    gaussian = Rates.of(present, missing, 0.5).gaussian_epsilon(DELTA) if claim.sampling == 1.0 else 0.0
    return Measured(claim.accounted, gaussian, tail.epsilon(DELTA), present.size + missing.size)


def in_a_cell(claim: Claim, **others: object) -> Callable[[int], Pair]:
    """Distributed noise, as t colluders see it when f + e are silent."""
    arguments = {"colluders": COLLUDERS, "absent": ABSENT, **others}
    return lambda seed: distributed(claim, CELL, CANARIES, seed, **arguments)  # type: ignore[arg-type]


def canaries(figures: Figures, console: Console) -> list[tuple[str, Measured]]:
    """Claims that are kept."""
    kept: list[tuple[str, Measured]] = []
    for target in TARGETS:
        once, thrice = Claim(target), Claim(target, rounds=3)
        kept.append((f"distributed_{target:g}", play(once, in_a_cell(once), GAMES[target])))
        kept.append((f"local_{target:g}", play(once, lambda s, c=once: local(c, CANARIES, s), GAMES[target])))
        if target > 1:
            kept.append((f"distributed_3_rounds_{target:g}", play(thrice, in_a_cell(thrice), 2)))
            sampled = Claim(target, sampling=0.5)
            kept.append((f"local_sampled_{target:g}", play(sampled, lambda s, c=sampled: local(c, CANARIES, s), 6)))
    rows = []
    for name, found in kept:
        figures.note(f"epsilon_claimed_{name}", rounded(found.claimed))
        figures.note(f"epsilon_at_least_{name}", rounded(max(found.gaussian, found.by_rates)))
        figures.note(f"epsilon_at_least_by_rates_{name}", rounded(found.by_rates))
        figures.note(f"games_{name}", found.games)
        best = max(found.gaussian, found.by_rates)
        rows.append([name.replace("_", " "), f"{found.claimed:.2f}", f"{best:.2f}", f"{best / found.claimed:.0%}",
                     f"{found.by_rates:.2f}", f"{found.games:,}"])  # fmt: skip
    columns = ["noise, target", "ε claimed", "ε at least", "of claim", "by rates alone", "games"]
    show_table(console, f"Canaries, as {len(COLLUDERS)} colluders of {CELL.members} see them", columns, rows)
    figures.note("claims_kept", all(max(found.gaussian, found.by_rates) < found.claimed for _, found in kept))
    return kept


def broken_promises(figures: Figures, console: Console) -> None:
    """Claims that are not kept, on purpose."""
    claim = Claim(4.0)
    cheats = {
        "half_the_deviation": (in_a_cell(claim, cheat=Cheat(deviation=0.5)), 1),
        "noise_share_missing": (in_a_cell(claim, cheat=Cheat(silent=frozenset({2}))), 6),
        "one_colluder_more": (in_a_cell(claim, colluders=(*COLLUDERS, 7)), 6),
        "noise_repeats": (in_a_cell(claim, cheat=Cheat(same_seed=True), before=1, subtract=True), 1),
        "half_the_local_deviation": (lambda seed: local(claim, CANARIES, seed, cheat=Cheat(deviation=0.5)), 1),
        "noise_is_for_m_minus_t_minus_f": (in_a_cell(claim, shares=CELL.members - CELL.tolerated - CELL.absentees), 6),
    }
    rows = []
    for name, (game, runs) in cheats.items():
        found = play(claim, game, runs)
        figures.note(f"epsilon_at_least_if_{name}", rounded(found.gaussian))
        figures.note(f"caught_{name}", found.gaussian > found.claimed)
        rows.append([name.replace("_", " "), f"{found.claimed:.2f}", f"{found.gaussian:.2f}",
                     "caught" if found.gaussian > found.claimed else "MISSED"])  # fmt: skip
    show_table(console, "Broken on purpose", ["what", "ε claimed", "ε at least", ""], rows)


def views(figures: Figures, console: Console) -> None:
    """One coordinate of one update without noise, as each mode shows it to who knows all the rest."""
    updates = channels.Updates(CELL.members, COORDINATES, 1)
    found: dict[str, Pair] = {"plain_vector": channels.plain(updates)}
    view = channels.shamir(updates, CELL, COLLUDERS)
    found["shamir_t_shares"] = channels.from_shares(updates, view)
    found["shamir_t_plus_1_shares"] = channels.from_shares(updates, channels.shamir(updates, CELL, (*COLLUDERS, 4)))
    found["shamir_sum"] = channels.from_sum(updates, view)
    found["masks_words"], masked = channels.masks(updates, CELL.tolerated, COLLUDERS)
    found["masks_sum"] = channels.sum_of_masks(updates, masked)
    found["ckks_relay"] = channels.ckks(updates, lambda keeper, relay: [relay])[0]["ciphertext"]
    found["ckks_keeper_sum"] = channels.ckks(updates, lambda keeper, relay: [keeper])[0]["sum"]
    found["ckks_keeper_and_relay"] = channels.ckks(updates, lambda keeper, relay: [keeper, relay])[0]["ciphertext"]
    rows = []
    for name, pair in found.items():
        area, deviation = auc(*pair), auc_deviation(pair[0].size, pair[1].size)
        figures.note(f"auc_coordinate_{name}", rounded(area))
        figures.note(f"auc_coordinate_{name}_if_guessed_deviation", rounded(deviation))
        rows.append([name.replace("_", " "), f"{area:.3f}", f"{deviation:.3f}"])
    title = "A coordinate of an update without noise: 0.5 is chance"
    show_table(console, title, ["seen", "AUC", "deviation of a guess"], rows)


def on_records(figures: Figures, console: Console) -> None:
    """Membership and inversion on the digits."""
    member: dict[str, list[float]] = {}
    guesses: dict[str, list[np.ndarray]] = {}
    numbers: list[int] = []
    for seed in range(SEEDS):
        dealt = Records.deal([40] * CELL.members, seed)
        single = Records.deal([1] * CELL.members, seed)
        node = HONEST[0]
        numbers.append(int(single.held[node][0]))
        shown = records.sent_in_the_open(dealt.held[node])
        _add(member, "plain", auc(*records.membership(dealt, shown, [node], clip=math.inf)))
        _add(guesses, "plain", records.inverted(records.sent_in_the_open(single.held[node])))
        total = records.opened(dealt, CELL, COLLUDERS, None, seed)
        _add(member, "sum_without_noise", auc(*records.membership(dealt, total, HONEST)))
        _add(guesses, "sum_without_noise", records.inverted(records.opened(single, CELL, COLLUDERS, None, seed)))
        for target in RECORD_TARGETS:
            noise = records.noise_of(dealt, CELL, COLLUDERS, target)
            total = records.opened(dealt, CELL, COLLUDERS, target, seed)
            _add(member, f"distributed_{target:g}", auc(*records.membership(dealt, total, HONEST, noise=noise)))
            single_total = records.opened(single, CELL, COLLUDERS, target, seed)
            _add(guesses, f"distributed_{target:g}", records.inverted(single_total))
            alone, noise = records.noised_alone(dealt, node, target, seed)
            _add(member, f"local_{target:g}", auc(*records.membership(dealt, alone, [node], noise=noise)))
            _add(guesses, f"local_{target:g}", records.inverted(records.noised_alone(single, node, target, seed)[0]))
    rows = []
    for name, areas in member.items():
        likeness = records.likeness(guesses[name], numbers, single)
        figures.note(f"membership_auc_{name}", rounded(float(np.mean(areas))))
        figures.note(f"inversion_error_over_prior_{name}", rounded(likeness.error))
        figures.note(f"inversion_recognised_{name}", rounded(likeness.recognised))
        rows.append([name.replace("_", " "), f"{np.mean(areas):.3f}", f"{likeness.error:.2g}",
                     f"{likeness.recognised:.2f}"])  # fmt: skip
    columns = ["seen", "membership AUC", "inversion error ÷ prior", "recognised of 101"]
    show_table(console, "Records of the digits, one step: 0.5, 1 and 0.01 are no attack at all", columns, rows)


def _add(to: dict, name: str, value: object) -> None:
    to.setdefault(name, []).append(value)


def subtraction(figures: Figures) -> None:
    """Five colluders of 64 subtract sums: of neighbourhoods that overlap, and of disjoint cells."""
    nodes, draws = 64, 200
    lattice = [(i, (i + step) % nodes) for i in range(nodes) for step in range(1, 5)]
    plans = {
        "neighbourhoods": plan("neighbourhood", nodes, lattice, 1),
        "cells": plan("grid", nodes, [], 1, size=8, epoch_rounds=1),
    }
    for name, committees in plans.items():
        broken = 0
        for draw in range(draws):
            colluders = set(np.random.default_rng(draw).choice(nodes, 5, replace=False).tolist())
            broken += bool(isolated(sums_seen(committees, nodes, colluders, [0]), colluders))
        figures.note(f"isolated_by_5_of_64_share_{name}", broken / draws)


def run(folder: Path, console: Console) -> Figures:
    """All attacks."""
    figures = Figures("audit")
    figures.note("confidence", CONFIDENCE)
    figures.note("delta", DELTA)
    kept = canaries(figures, console)
    broken_promises(figures, console)
    views(figures, console)
    on_records(figures, console)
    subtraction(figures)
    plot(kept, folder / "audit.png")
    return figures


def plot(kept: list[tuple[str, Measured]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(7, 4), layout="constrained")
    places = np.arange(len(kept))
    axis.bar(places, [found.claimed for _, found in kept], color="lightgrey", label="claimed")
    best = [max(found.gaussian, found.by_rates) for _, found in kept]
    axis.bar(places, best, width=0.5, color="tab:blue", label=f"at least, with {CONFIDENCE:.0%} confidence")
    axis.plot(places, [found.by_rates for _, found in kept], "k_", markersize=14, label="by error rates alone")
    axis.set_xticks(places, [name.replace("_", " ") for name, _ in kept], rotation=40, ha="right", fontsize=8)
    axis.set_ylabel("ε")
    axis.set_title(f"ε as {len(COLLUDERS)} colluders of {CELL.members} measure it (δ = {DELTA:g})", fontsize=10)
    axis.legend()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
