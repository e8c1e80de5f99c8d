"""The panels of the overview."""

from __future__ import annotations

from typing import Final

from rich.text import Text

from node.console.desk import Scene
from node.console.drawing.bars import bar, spark
from node.console.drawing.ink import Ink
from node.console.drawing.marks import LEVEL_MARKS, level_style
from node.console.drawing.plot import Series, plot
from node.console.drawing.table import Cell, facts
from node.console.drawing.words import clock, epsilon, fit, percent
from node.view import Alert
from node.words import count, distance, duration, plain, size

HIDDEN: Final = {
    "none": "in the open",
    "shamir": "secret, proved short",
    "masks": "secret",
    "ckks": "secret",
    "bfv": "secret",
}
NOISE: Final = {"off": "none", "record": "hides a row", "update": "hides a node"}
NEARLY: Final = 0.9
"""Share of a budget from which on its gauge is amber."""


def draw_accuracy(scene: Scene, width: int, height: int, ink: Ink) -> Text:
    """Champion over rounds, with the challenger dotted."""
    rounds = scene.model.rounds
    champion = [(row.round, row.champion_accuracy) for row in rounds if row.champion_accuracy is not None]
    challenger = [(row.round, row.challenger_accuracy) for row in rounds if row.challenger_accuracy is not None]
    if not champion and not challenger:
        return _awaited("The first round that closes brings an accuracy.", ink)
    series = [Series(challenger, ink.dim, gap=3), Series(champion, ink.accent)]
    picture = plot(series, width, height - 1, ink, y_text=lambda y: f"{100 * y:.0f} %", y_range=(0.0, 1.0))
    now = scene.overview
    legend = Text(no_wrap=True)
    legend.append("━ champion ", ink.accent).append(f"{percent(now.champion_accuracy):<9}", f"bold {ink.text}")
    legend.append("┄ challenger ", ink.dim).append(percent(now.challenger_accuracy), ink.text)
    legend.truncate(width)
    return legend.append("\n").append_text(picture)


def draw_distance(scene: Scene, width: int, height: int, ink: Ink) -> Text:
    """Consensus distance over rounds."""
    points = [(row.round, row.consensus_distance) for row in scene.model.rounds if row.consensus_distance is not None]
    if not points:
        return _awaited("The first average brings it.", ink)
    head = Text.assemble(("now ", ink.dim), (distance(points[-1][1]), f"bold {ink.text}"))
    picture = plot([Series(points, ink.accent)], width, height - 1, ink, y_text=lambda y: f"{y:.2g}")
    return head.append("\n").append_text(picture)


def draw_times(scene: Scene, width: int, height: int, ink: Ink) -> Text:
    """How long rounds took."""
    points = [(row.round, row.round_s) for row in scene.model.rounds]
    if not points:
        return _awaited("The first round that closes brings a time.", ink)
    head = Text.assemble(("last ", ink.dim), (duration(points[-1][1]), f"bold {ink.text}"))
    picture = plot([Series(points, ink.accent)], width, height - 1, ink, y_text=duration)
    return head.append("\n").append_text(picture)


def has_distance(scene: Scene) -> bool:
    """Whether anybody can know how far apart the models are: where they are averaged in secret nobody does."""
    if scene.overview.sharing == "none":
        return True
    return any(row.consensus_distance is not None for row in scene.model.rounds)


def draw_round(scene: Scene, width: int, height: int, ink: Ink) -> Text:
    """Where the node is."""
    node = scene.overview
    if node.state == "awaited":
        return _awaited("The node has not begun.", ink)
    lines: list[tuple[str, Cell]] = [
        ("round", f"{node.round} of {node.rounds}" if node.rounds else f"{node.round}"),
        ("", bar(node.round / node.rounds if node.rounds else 0, max(4, width - 12), ink.accent, ink.faint)),
        ("last round", duration(node.round_s)),
        ("cell", _cell(scene, ink)),
        ("neighbours", f"{len(node.up)} of {len(node.neighbours)} up"),
        ("champion", f"v{node.champion_version}, {percent(node.champion_accuracy)}"),
        ("void rounds", (f"{node.void_rounds}", ink.warn if node.void_rounds else ink.text)),
        ("refused", f"{node.refused}"),
        ("restarts", f"{node.restarts}"),
        ("model", count(node.parameters, "parameter")),
        ("began", f"{clock(node.began_at)} UTC"),
        ("last event", f"{clock(node.last_at)} UTC"),
        ("address", plain(node.address)),
    ]
    return facts(lines[:height], width, ink)


def _cell(scene: Scene, ink: Ink) -> Text:
    node = scene.overview
    text = Text(f"{len(node.cell_present)} averaged", ink.text)
    if node.cell_absent:
        text.append(", ").append(f"{len(node.cell_absent)} absent", ink.warn)
    return text


def draw_privacy(scene: Scene, width: int, height: int, ink: Ink) -> Text:
    """ε as a gauge where there is a budget."""
    node = scene.overview
    if node.state == "awaited":
        return _awaited("Not known before the node begins.", ink)
    lines: list[tuple[str, Cell]] = []
    if node.epsilon is None:
        lines.append(("ε", ("none claimed", ink.dim)))
    elif node.epsilon_budget:
        share = node.epsilon / node.epsilon_budget
        style = ink.bad if node.privacy_spent else ink.warn if share > NEARLY else ink.good
        told = Text(f"{epsilon(node.epsilon)} of {epsilon(node.epsilon_budget)}  ", ink.text)
        lines.append(("ε", told.append("SPENT" if node.privacy_spent else f"{100 * share:.0f} %", style)))
        lines.append(("", bar(share, max(4, width - 12), style, ink.faint)))
    else:
        spent = Text(epsilon(node.epsilon), ink.text)
        lines.append(("ε so far", spent.append("  SPENT", ink.bad) if node.privacy_spent else spent))
    lines += [("updates", HIDDEN.get(node.sharing, node.sharing)), ("noise", NOISE.get(node.dp, node.dp))]
    return facts(lines[:height], width, ink)


def draw_traffic(scene: Scene, width: int, height: int, ink: Ink) -> Text:
    """Bytes, in all and a round."""
    node, rounds = scene.overview, scene.model.rounds
    room = max(0, width - 12)
    lines: list[tuple[str, Cell]] = [
        ("sent", f"{size(node.bytes_sent):>9}"),
        ("received", f"{size(node.bytes_received):>9}"),
        ("a round", (spark([row.bytes_sent + row.bytes_received for row in rounds], room, low=0), ink.accent)),
        ("seconds", (spark([row.round_s for row in rounds], room, low=0), ink.accent)),
    ]
    return facts(lines[:height], width, ink)


def draw_alerts(scene: Scene, width: int, height: int, ink: Ink) -> Text:
    """What is wrong now, and in what room that leaves, the last that happened."""
    if scene.overview.state == "awaited":
        return _awaited("Nothing is known yet: the first event of a journal is awaited.", ink)
    alerts = scene.alerts
    shown = alerts if len(alerts) <= height else alerts[: height - 1]
    lines = [_alert(alert, width, ink) for alert in shown] or [Text("● nothing is wrong", ink.good)]
    if len(shown) < len(alerts):
        lines.append(Text(f"and {len(alerts) - len(shown)} more", ink.dim))
    room = height - len(lines)
    if room > 1 or (room and not alerts):
        for line in scene.view.latest(room):
            style = level_style(line.level, ink) if line.level in ("warning", "error") else ink.dim
            text = Text(f"{clock(line.at)} ", ink.dim, no_wrap=True)
            lines.append(text.append(fit(line.text, width - 9).rstrip(), style))
    return Text("\n", no_wrap=True).join(lines)


def _alert(alert: Alert, width: int, ink: Ink) -> Text:
    mark, word = LEVEL_MARKS[alert.gravity]
    text = Text(no_wrap=True).append(f"{mark} {word:<6}", f"bold {level_style(alert.gravity, ink)}")
    return text.append(fit(alert.text, width - 8).rstrip(), ink.text)


def _awaited(text: str, ink: Ink) -> Text:
    return Text(text, ink.dim)
