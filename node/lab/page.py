"""`report.html`: one file that opens offline and asks the network for nothing.

The page is a list of sections. Each is made by a function that returns None where the run has no such data; a new
subject (reputation, ε) is one more function in `SECTIONS`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import Markup

from node import words
from node.lab import colours
from node.lab.results import Report
from node.lab.section import Section
from node.lab.sections import SECTIONS
from node.lab.targets import judge


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of the head of the page."""

    label: str
    value: str
    note: str = ""


def render_page(report: Report) -> str:
    """The whole file. Everything that comes from `report` is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["digest"] = _digest
    environment.filters["plain"] = words.plain
    sections = [section for make in SECTIONS if (section := make(report)) is not None]
    return environment.get_template("report.html").render(
        report=report,
        verdict=_verdict(report),
        figures=_figures(report),
        targets=judge(report),
        rows=_rows(sections),
        colours=colours,
    )


def _digest(text: str) -> str:
    """Source expression that lets the page run exactly this style or script (CSP level 3, section 2.3.1)."""
    return Markup("'sha256-{}'").format(base64.b64encode(hashlib.sha256(text.encode()).digest()).decode())


def _rows(sections: Sequence[Section]) -> list[list[Section]]:
    """Two half sections that follow each other share a row; everything else has its own."""
    rows: list[list[Section]] = []
    for section in sections:
        if rows and section.half and len(rows[-1]) == 1 and rows[-1][0].half:
            rows[-1].append(section)
        else:
            rows.append([section])
    return rows


def _verdict(report: Report) -> str:
    """What came of it, in a sentence or two."""
    summary, baselines = report.summary, report.baselines
    reached = summary.honest_accuracy_mean
    if reached is None:
        return "No honest node closed a round that was measured."
    parts = []
    if baselines.local_only_mean is not None:
        parts.append(_apart(reached - baselines.local_only_mean, "training alone"))
    if baselines.centralised is not None:
        parts.append(_apart(reached - baselines.centralised, "all data in one place"))
    compared = f": {' and '.join(parts)}" if parts else ""
    return f"Honest nodes reach {words.accuracy(reached)} on average{compared}."


def _apart(difference: float, other: str) -> str:
    points = f"{abs(100 * difference):.1f} points"
    if points == "0.0 points":
        return f"level with {other}"
    return f"{points} {'above' if difference > 0 else 'below'} {other}"


def _at(delta: float | None) -> str:
    return "the most of a node" if delta is None else f"the most of a node, δ = {delta:g}"


def _figures(report: Report) -> list[Figure]:
    summary, baselines = report.summary, report.baselines
    lowest = f"lowest {words.accuracy(summary.honest_accuracy_min)}"
    figures = [
        Figure("Honest nodes", words.accuracy(summary.honest_accuracy_mean), lowest),
        Figure("Alone", words.accuracy(baselines.local_only_mean), "mean of nodes"),
        Figure("In one place", words.accuracy(baselines.centralised), "all rows together"),
        Figure("Consensus distance", words.distance(summary.consensus_distance), "last round"),
        Figure("ε", words.distance(summary.epsilon_max), _at(summary.delta)),
        Figure("Round", words.duration(summary.round_s_median), "median"),
        Figure("Traffic", words.size(summary.bytes_per_node_round), "sent a node and round"),
        Figure("Run", words.duration(summary.wall_s), f"start-up {words.duration(summary.startup_s)}"),
        Figure("Processor", words.duration(summary.cpu_s), "all nodes"),
    ]
    return [figure for figure in figures if figure.value != "–"]
