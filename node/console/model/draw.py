"""The panels of the model."""

from __future__ import annotations

from typing import Final

from rich.text import Text

from node.console.desk import Scene
from node.console.drawing.bars import bar, spark
from node.console.drawing.ink import Ink
from node.console.drawing.plot import Series, plot
from node.console.drawing.table import Cell, Column, facts, head, layout, row
from node.console.drawing.words import clock, fit, percent
from node.view import VersionView

VERSIONS: Final = (
    Column("version", 9),
    Column("round", 5, "right"),
    Column("accuracy", 8, "right"),
    Column("loss", 7, "right", rank=1),
    Column("before", 7, "right", rank=2),
    Column("at", 8, "right", rank=3),
)


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"[:7] if abs(value) < 1e5 else f"{value:.1e}"


def draw_versions_head(width: int, ink: Ink) -> Text:
    """The headings."""
    return head(layout(VERSIONS, width), ink)


def draw_version(version: VersionView, width: int, ink: Ink, *, champion: bool) -> Text:
    """One champion of the list."""
    cells: list[Cell] = [
        (f"★ v{version.version}", f"bold {ink.accent}") if champion else f"  v{version.version}",
        f"{version.round}",
        percent(version.accuracy),
        _figure(version.loss),
        (_figure(version.previous_loss), ink.dim),
        (clock(version.at), ink.dim),
    ]
    return row(cells, layout(VERSIONS, width), ink)


def draw_standing(scene: Scene, width: int, height: int, ink: Ink) -> Text:
    """Champion beside challenger."""
    model = scene.model
    since = "" if model.champion_since is None else f", since round {model.champion_since}"
    gap = None
    if model.champion_accuracy is not None and model.challenger_accuracy is not None:
        gap = 100 * (model.challenger_accuracy - model.champion_accuracy)
    lines: list[tuple[str, Cell]] = [
        ("champion", Text.assemble((f"★ v{model.champion_version}", f"bold {ink.accent}"), (since, ink.text))),
        ("accuracy", percent(model.champion_accuracy)),
        ("challenger", percent(model.challenger_accuracy) if gap is None else
            f"{percent(model.challenger_accuracy)} ({gap:+.1f} points)"),
        ("its loss", _figure(model.challenger_loss)),
        ("promoted", f"{model.promotions}"),
        ("rolled back", (f"{model.rollbacks}", ink.warn if model.rollbacks else ink.text)),
    ]  # fmt: skip
    if model.last_rollbacks:
        last = model.last_rollbacks[-1]
        lines.append(("the last", f"round {last.round}, to v{last.to_version}: {last.reason}"))
    lines.append(("parameters", f"{model.parameters:,}"))
    return facts(lines[:height], width, ink)


def draw_loss(scene: Scene, width: int, height: int, ink: Ink) -> Text:
    """Loss of training and on the holdout, over rounds."""
    rounds = scene.model.rounds
    train = [(row.round, row.loss) for row in rounds if row.loss is not None]
    held = [(row.round, row.challenger_loss) for row in rounds if row.challenger_loss is not None]
    if not train and not held:
        return Text("The first round that closes brings a loss.", ink.dim)
    legend = Text("━ holdout  ", ink.accent, no_wrap=True).append("┄ training", ink.dim)
    if scene.model.rounds_dropped:
        legend.append(f"   older rounds thinned by {scene.model.rounds_dropped:,}", ink.dim)
    series = [Series(train, ink.dim, gap=3), Series(held, ink.accent)]
    picture = plot(series, width, height - 1, ink, y_text=lambda y: f"{y:.2g}")
    return legend.append("\n").append_text(picture)


def draw_layers(scene: Scene, width: int, height: int, ink: Ink) -> Text:
    """What the last round changed in each layer, and how that went."""
    change = scene.model.layer_change
    if not change:
        return Text("A round that tells of layers brings this.", ink.dim)
    label = min(max(len(name) for name in change), max(8, width // 3))
    most = max(*change.values(), 1e-12)
    room = max(4, (width - label - 10) // 2)
    lines = []
    for name, value in list(change.items())[:height]:
        line = Text(fit(name, label) + " ", ink.dim, no_wrap=True)
        line.append(f"{100 * value:6.2f} % ", ink.text).append_text(bar(value / most, room, ink.accent, ink.faint))
        history = scene.model.layer_history.get(name, ())
        lines.append(line.append(" ").append(spark(history, max(0, width - line.cell_len - 1), low=0), ink.dim))
    return Text("\n", no_wrap=True).join(lines)
