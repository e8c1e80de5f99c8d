"""The topology file: who takes part, who may talk to whom, and what all of them must agree on.

`load_topology` reads a file and `parse_topology` text; both raise `TopologyError` alone, whatever the bytes are.
A `Topology` that exists is sound: names and addresses are unique, the graph is connected, the committees can be formed.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

from pydantic import Field, PrivateAttr, ValidationError, field_validator, model_validator

from consensus.adjacency import Adjacency
from consensus.committee import Plan
from consensus.sharing import Sharing
from crypto.fixedpoint import FixedPoint
from crypto.identity import PeerId
from overlay.addresses import LOOPBACK
from overlay.families import FAMILY_NAMES, Edge, Graph
from overlay.section import Section
from overlay.topology_checks import (
    cell_size,
    check_bench,
    check_data,
    check_kept_rounds,
    check_privacy,
    check_rule,
    check_sends,
    check_sharing,
    check_unique,
    committee_plan,
)
from overlay.topology_detect import Detect
from overlay.topology_errors import Problem, TopologyError, explain, nearest, shown
from overlay.topology_noise import check_noise
from overlay.topology_privacy import Privacy
from overlay.topology_schema import MAX_NODES, Consensus, Name, Node, Rounds, Targets, Task
from overlay.topology_sharing import Setting, noise_shares, sharing_of
from overlay.topology_text import render

__all__ = ["Topology", "TopologyError", "dumps", "load_topology", "parse_topology"]

MAX_FILE_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 8
MAX_SEED: Final = (1 << 63) - 1
# tomllib takes time quadratic in the parts of one dotted key; no key of ours has three.
_LONG_KEY: Final = re.compile(r"""(?<![\w"'-])(?:[\w"'-]++[ \t]*+\.[ \t]*+){32}""", re.ASCII)
_DIGEST_VERSION: Final = "grapevine-topology 1"


class Topology(Section):
    """A parsed topology file. Node indices are places in the order of the file."""

    name: Name
    """Of the swarm; every device must have the same file."""
    seed: int = Field(default=0, ge=0, le=MAX_SEED)
    """Everything random in a run follows from it."""
    task: Task = Task()
    """What is learned."""
    rounds: Rounds = Rounds()
    """How long, and when a round may close."""
    graph: Graph
    """Who may talk to whom."""
    consensus: Consensus = Consensus()
    """How models become one."""
    privacy: Privacy = Privacy()
    """What peers may learn."""
    detect: Detect = Detect()
    """What a node makes of what its peers do."""
    targets: Targets = Targets()
    """What a run must reach."""
    nodes: tuple[Node, ...] = Field(alias="node", min_length=2, max_length=MAX_NODES)
    """The nodes; their order is the order of the graph."""

    _edges: tuple[Edge, ...] = PrivateAttr()
    _indices: dict[str, int] = PrivateAttr()
    _adjacent: tuple[tuple[int, ...], ...] = PrivateAttr()

    @classmethod
    def of(cls, raw: Mapping[str, object], source: str) -> Self:
        """The topology of parsed TOML, its lists as tuples. Raises `TopologyError`, which names `source`."""
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            raise explain(error, raw, source) from error

    @property
    def names(self) -> tuple[str, ...]:
        """All names, in the order of the file."""
        return tuple(node.name for node in self.nodes)

    def index(self, name: str) -> int:
        """The place of `name`. Raises `TopologyError` for a name that is not here."""
        try:
            return self._indices[name]
        except KeyError:
            remedy = f"{nearest(name, self.names)}its nodes are {', '.join(self.names[:16])}"
            raise TopologyError(f"{self.name}: no node is called {shown(name)}", remedy) from None

    def node(self, name: str) -> Node:
        """The table of `name`. Raises `TopologyError` for a name that is not here."""
        return self.nodes[self.index(name)]

    def edges(self) -> tuple[Edge, ...]:
        """All edges as pairs of indices i < j, sorted; the same on every device."""
        return self._edges

    def neighbours(self, name: str) -> tuple[str, ...]:
        """The names adjacent to `name`, in the order of the file."""
        return tuple(self.nodes[i].name for i in self._adjacent[self.index(name)])

    def peer_list(self, name: str) -> tuple[str, ...]:
        """Whom `name` must be able to talk to, in the order of the file: its neighbours.

        In a grid these are all other nodes, because a file whose grid is not complete does not parse.
        """
        return self.neighbours(name)

    @cached_property
    def adjacency(self) -> Adjacency:
        """Who has an edge with whom."""
        return Adjacency(len(self.nodes), self._edges)

    @cached_property
    def plan(self) -> Plan:
        """Who averages with whom in each round."""
        shared = self.privacy.sharing != "none"
        return committee_plan(self.consensus, self.names, self._edges, self.seed, shared=shared)

    @cached_property
    def cell_members(self) -> int:
        """m: nodes of a cell, where something is shared in secret."""
        return cell_size(self.consensus, self.names, self.plan)

    @property
    def noise_shares(self) -> int | None:
        """h: shares of distributed noise that protect together, in every sum that is opened; None without it."""
        members = self.cell_members - self.detect.bench if self.privacy.sharing != "none" else 0
        return noise_shares(self.privacy, members) if members else None

    def sharing(self, layout: bytes = bytes(32), encoding: FixedPoint | None = None) -> Sharing | None:
        """How secret phases are run on a model of this layout; None where nothing is shared in secret.

        `encoding` says how updates are written where noise decides that. Raises PlanError for one that does not fit.
        """
        if self.privacy.sharing == "none":
            return None
        setting = Setting(
            self.cell_members,
            self.rounds.deadline_s,
            self.digest(),
            layout,
            encoding,
            self.detect.bench,
            self.consensus.rule,
            self.consensus.byzantine,
            fixed=self.consensus.committee == "cliques",
        )
        return sharing_of(self.privacy, setting)

    def with_overrides(self, rounds: int | None = None, seed: int | None = None, dataset: str | None = None) -> Self:
        """A copy with other rounds, seed or data; a drawn graph is drawn anew. Raises `TopologyError`."""
        raw = self._raw()
        if rounds is not None:
            raw["rounds"]["count"] = rounds
        if seed is not None:
            raw["seed"] = seed
        if dataset is not None:
            raw["task"]["dataset"] = dataset
        return self.of(raw, self.name)

    def on_loopback(self, peer_ids: Mapping[str, PeerId]) -> Self:
        """A copy whose nodes all listen on this machine under the given identities: what the lab runs.

        The digest stays, since addresses and identities are not part of it.
        """
        raw = self._raw()
        for node in raw["node"]:
            node["listen"], node["peer_id"] = LOOPBACK, peer_ids[node["name"]]
        return self.of(raw, self.name)

    def digest(self) -> bytes:
        """SHA-256 (32 bytes) of what all peers must agree on: names, edges, seed, task, committee and round rules.

        Left out is what may differ from device to device or from run to run: addresses, PeerIds, paths of data, targets
        and, without noise, the number of rounds. The edges go in as drawn, so that two releases of the graph library
        that draw differently find out before they average.
        """
        raw = self._raw()
        task = {key: value for key, value in raw["task"].items() if key != "adaptive_rate"}  # each node's own business
        agreed = {
            "version": _DIGEST_VERSION,
            "name": self.name,
            "seed": self.seed,
            "nodes": self.names,
            "edges": self._edges,
            "task": {**task, "dataset": self.task.dataset.partition(":")[0]},
            "rounds": {"deadline_s": self.rounds.deadline_s, "quorum": self.rounds.quorum}
            | ({"send_threshold": self.rounds.send_threshold} if self.rounds.send_threshold else {})
            | self._noised_rounds(),
            # Without what is not read: swarms of releases that had no such keys keep their digests.
            "consensus": _read(raw["consensus"], self.consensus),
            "privacy": _read(raw["privacy"], self.privacy),
        }
        if self.detect.bench:  # the rest of it is each node's own business
            agreed["bench"] = self.detect.bench
        canonical = json.dumps(agreed, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
        return hashlib.sha256(canonical.encode("ascii")).digest()

    def _noised_rounds(self) -> dict[str, int]:
        """The number of rounds, where the noise is made for it: peers with another add another noise."""
        return {} if self.privacy.dp == "off" else {"count": self.rounds.count}

    def _raw(self) -> dict[str, Any]:
        return self.model_dump(by_alias=True)

    @field_validator("graph", mode="before")
    @classmethod
    def _family_exists(cls, raw: Any) -> Any:
        if isinstance(raw, Mapping):
            family = raw.get("family")
            if family not in FAMILY_NAMES:
                hint = nearest(family, FAMILY_NAMES) if isinstance(family, str) else ""
                what = f"= {shown(family)} is unknown" if "family" in raw else "is missing"
                raise Problem(what, f"{hint}choose of {', '.join(FAMILY_NAMES)}", "family")
        return raw

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        check_unique(self.nodes)
        check_data(self.task, self.nodes)
        check_privacy(self.privacy, self.task)
        check_sends(self.rounds, self.privacy)
        self._indices = {name: i for i, name in enumerate(self.names)}
        try:
            self._edges = self.graph.build(self.names, self.seed)
        except Problem as problem:
            raise Problem(problem.what, problem.remedy, f"graph.{problem.key}".rstrip(".")) from problem
        adjacent: list[list[int]] = [[] for _ in self.nodes]
        for i, j in self._edges:
            adjacent[i].append(j)
            adjacent[j].append(i)
        self._adjacent = tuple(tuple(sorted(row)) for row in adjacent)
        _ = self.plan  # so that committees which cannot be formed are noticed now
        if self.privacy.sharing != "none":
            check_sharing(self.privacy, self.consensus, self.names, self.plan, self.detect.bench)
            check_kept_rounds(self.privacy, self.consensus)
        check_rule(self.consensus, self.names, self.plan)
        check_bench(self.detect, self.consensus, self.privacy)
        members = None if self.privacy.sharing == "none" else self.cell_members - self.detect.bench
        check_noise(self.privacy, self.task, self.rounds, members)
        return self


def load_topology(path: Path | str) -> Topology:
    """The topology in the file `path`. Raises `TopologyError` for one that cannot be read or is not sound."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = error.strerror if isinstance(error, OSError) else str(error)
        remedy = "check the path; `grapevine topology new complete --nodes 8 > FILE` writes a new file"
        raise TopologyError(f"{path}: cannot be read ({why})", remedy) from error
    _check_size(len(content), str(path))
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise TopologyError(f"{path}: line {line} is not UTF-8", "save the file as UTF-8 text") from error
    return parse_topology(text, str(path))


def parse_topology(text: str, source: str) -> Topology:
    """The topology in `text`; `source` names the file in errors. Raises `TopologyError` alone."""
    _check_size(len(text), source)
    if _LONG_KEY.search(text):
        raise TopologyError(f"{source}: a key has more than 32 dots", "keys look like task.alpha")
    try:
        raw = tomllib.loads(text)
        raw = {key: _frozen(value, MAX_DEPTH, f"{source}: {shown(key)}") for key, value in raw.items()}
    except TopologyError:
        raise
    except RecursionError as error:
        raise _too_deep(source) from error
    except ValueError as error:  # TOMLDecodeError, and integers longer than Python converts
        raise TopologyError(f"{source}: not a TOML file: {error}", "see https://toml.io/en/v1.0.0") from error
    if "nodes" in raw and "node" not in raw:
        remedy = "write a [[node]] table for each; `grapevine topology new FAMILY --nodes N` prints them"
        raise TopologyError(f"{source}: nodes is not a known key", remedy)
    return Topology.of(raw, source)


def dumps(topology: Topology) -> str:
    """`topology` as the text of a file, with a comment beside each key; parses to an equal topology."""
    return render(topology)


def _read(raw: Mapping[str, object], section: Section) -> dict[str, object]:
    return {key: value for key, value in raw.items() if key not in section.unused()}


def _check_size(size: int, source: str) -> None:
    if size > MAX_FILE_BYTES:
        raise TopologyError(f"{source}: larger than {MAX_FILE_BYTES} bytes", "is it a topology file?")


def _frozen(value: object, depth: int, place: str) -> object:
    """Lists as tuples, which is what a strict frozen model takes, to a bounded depth."""
    if depth == 0:
        raise _too_deep(place)
    if isinstance(value, list):
        return tuple(_frozen(item, depth - 1, place) for item in value)
    if isinstance(value, dict):
        return {key: _frozen(item, depth - 1, place) for key, item in value.items()}
    return value


def _too_deep(place: str) -> TopologyError:
    return TopologyError(f"{place}: nested too deeply", f"no table or list of a topology file is {MAX_DEPTH} deep")
