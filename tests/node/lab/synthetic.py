"""A run folder made up from a formula, so that every figure of its report can be worked out by hand."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from node import journal, journal_file
from node.lab.record import Baselines, NodeRecord, RunRecord, write_record

NAMES = tuple(f"press-{number}" for number in range(1, 9))
ROUNDS = 30
TOPOLOGY = """
name = "plant-8"
[task]
dataset = "digits"
partition = "dirichlet"
model = "mlp"
[graph]
family = "ring"
[consensus]
committee = "neighbourhood"
rule = "mean"
[privacy]
sharing = "none"
"""


def accuracy(node: int, number: int) -> float:
    return round(0.95 - 0.6 / (abs(number) + 1) - 0.01 * node, 6)


def closed(node: int, number: int, present: Sequence[str] = (), **fields: Any) -> journal.RoundClosed:
    values: dict[str, Any] = {
        "at": float(number),
        "round": number,
        "outcome": "averaged",
        "present": tuple(present),
        "absent": (),
        "train_s": 0.02,
        "exchange_s": 0.01,
        "round_s": 0.04 + 0.001 * node,
        "loss": 1.0,
        "holdout_loss": 0.5,
        "holdout_accuracy": 0.9,
        "test_accuracy": max(0.0, accuracy(node, number)),
        "consensus_distance": 2.0 / (abs(number) + 1) + node,
        "bytes_sent": 1000 + node,
        "bytes_received": 2000 + node,
        "champion_version": number // 3,
    }
    return journal.RoundClosed(**(values | fields))


def started(name: str, number: int = 0, *, resumed: bool = False, rounds: int = ROUNDS) -> journal.Started:
    return journal.Started(
        at=0.0,
        name=name,
        peer_id=f"12D3KooW{name}",
        address="/ip4/127.0.0.1/tcp/4001",
        neighbours={},
        parameters=4810,
        round=number,
        rounds=rounds,
        resumed=resumed,
        champion_version=0,
    )


def ring(names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, names[(index + 1) % len(names)]) for index, name in enumerate(names))


def write_run(folder: Path, names: Sequence[str] = NAMES, rounds: int = ROUNDS, **fields: Any) -> Path:
    """A ring in which nothing goes wrong; `fields` replace those of the record."""
    folder.mkdir(parents=True, exist_ok=True)
    values: dict[str, Any] = {
        "name": "plant-8",
        "seed": 7,
        "rounds": rounds,
        "topology": TOPOLOGY,
        "nodes": [NodeRecord(name=name) for name in names],
        "edges": ring(names),
        "baselines": Baselines(centralised=0.97, local_only=dict.fromkeys(names, 0.7)),
        "wall_s": 12.5,
        "cpu_s": 20.0,
        "startup_s": 3.0,
    }
    write_record(RunRecord(**(values | fields)), folder)
    for index, name in enumerate(names):
        neighbours = [names[index - 1], names[(index + 1) % len(names)]]
        events = [closed(index, number, neighbours) for number in range(rounds)]
        write_journal(folder, name, [started(name, rounds=rounds), *events, journal.Finished(at=99.0, rounds=rounds)])
    return folder


def write_journal(folder: Path, name: str, events: Sequence[journal.Event]) -> Path:
    path = folder / name / "journal.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    append(path, events)
    return path


def append(path: Path, events: Sequence[journal.Event]) -> None:
    with journal_file.Journal.open(path) as book:
        for event in events:
            book.write(event)


def write_eventful_run(folder: Path) -> Path:
    """press-3 is killed after round 11 and comes back at round 10; press-4 has a torn line; press-6 is an adversary."""
    adversary = NodeRecord(name="press-6", role="adversary", adversary="alie")
    nodes = [adversary if name == "press-6" else NodeRecord(name=name) for name in NAMES]
    write_run(folder, nodes=nodes, restarts={"press-3": 1}, targets={"honest_accuracy": 0.9})
    before = [closed(2, number, ["press-2", "press-4"]) for number in range(12)]
    path = write_journal(folder, "press-3", [started("press-3"), *before])
    with path.open("ab") as file:
        file.write(b'{"type":"round","round":12,"outc')
    again = [closed(2, number, ["press-2", "press-4"], test_accuracy=0.5) for number in (10, 11)]
    later = [closed(2, number, ["press-2", "press-4"]) for number in range(14, ROUNDS)]
    append(path, [started("press-3", 10, resumed=True), *again, *later, journal.Finished(at=99.0, rounds=ROUNDS)])
    fault = journal.Faulted(at=5.0, round=4, peer="press-6", reason="a non-finite value in the vector of phase 0")
    append(folder / "press-1" / "journal.jsonl", [fault, fault.model_copy(update={"round": 7})])
    return folder


def write_private_run(folder: Path) -> Path:
    """Node i has let out ε = (r + 1) (1 + i / 10) / 30 by round r; press-2 was killed after one charge more."""
    write_run(folder, targets={"epsilon": 1.5}, delta=1e-5)
    for index, name in enumerate(NAMES):
        rows = [closed(index, r, epsilon=(r + 1) * (1 + index / 10) / ROUNDS) for r in range(ROUNDS)]
        write_journal(folder, name, [started(name), *rows])
    append(folder / "press-2" / "journal.jsonl", [journal.Charged(at=99.0, round=ROUNDS, epsilon=3.0)])
    append(folder / "press-3" / "journal.jsonl", [journal.PrivacySpent(at=9.0, round=20, epsilon=1.0, reason="x")])
    return folder


@dataclass
class Page(HTMLParser):
    """A parsed page: what it would load, its tags in balance, its text."""

    urls: list[str] = field(default_factory=list)
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)

    VOID = frozenset({"meta", "link", "img", "br", "hr", "input"})

    def __post_init__(self) -> None:
        super().__init__()

    @classmethod
    def of(cls, html: str) -> "Page":
        page = cls()
        page.feed(html)
        page.close()
        assert page._open == [], f"left open: {page._open}"
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, attrs)
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def _note(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.urls += [value or "" for key, value in attrs if key in {"src", "href", "xlink:href", "action", "data"}]
