"""The tables of a topology file, except `[graph]` in `overlay.families` and `[privacy]` in `overlay.topology_privacy`.

The docstring under a field is the comment that `grapevine topology new` writes beside its key.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from consensus.rules import RULES
from crypto.identity import PeerId, parse_peer_id
from overlay.addresses import LOOPBACK, Address
from overlay.section import NOT_YET, Planned, Section
from overlay.topology_errors import Problem, TopologyError, nearest, shown

MAX_NODES: Final = 4096
MAX_ROUNDS: Final = 1_000_000
MAX_HIDDEN_PARAMETERS: Final = 1 << 27  # half a gibibyte of float32, many times what gossip is good for

DATASETS: Final[dict[str, str]] = {"digits": "", "adult": "DIR", "mnist": "DIR", "csv": "FILE"}
"""Loader → what follows its colon."""
PLANNED_DATASETS: Final = ("westermo",)

ADVERSARIES: Final = (
    *("sign-flip", "scaling", "gaussian", "alie", "ipm", "mimic", "dissensus", "isolation", "duplicate", "slow-drift"),
    *("free-rider", "stale-replay", "equivocation", "label-flip", "backdoor", "protocol-liar"),
)
"""What a node may be made to do in a lab (`node.lab.attacks`, `node.lab.betrayal`)."""
GRADED: Final = (
    *("sign-flip", "scaling", "gaussian", "alie", "ipm", "dissensus", "isolation", "slow-drift", "free-rider"),
    *("stale-replay", "equivocation", "backdoor"),
)
"""Of these, what a number after a colon makes stronger or weaker: sign-flip:3."""
BETRAYALS: Final = (
    *("equivocation", "two-votes", "long-vector", "wrong-shares", "rubbish", "wrong-nonce", "wrong-scalars"),
    *("wrong-opening", "two-openings", "wrong-certificate", "silent"),
)
"""What a protocol-liar does in a private round, after a colon: protocol-liar:wrong-shares."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_NUMBER: Final = re.compile(r"-?[0-9]{1,6}(\.[0-9]{1,6})?", re.ASCII)
_RESERVED: Final = ("lab", "plots", "report.html", "report.json", "run.json")
"""What a run keeps in its folder beside the folders of the nodes."""
_PATH_MAX: Final = 1024
_DRAWN: Final = ("stars", "grid")
"""Committees whose members are drawn anew each epoch."""


def _is_name(text: str) -> str:
    # Names become folders of a run, arguments of commands and keys of the journal.
    if not _NAME.fullmatch(text):
        raise Problem(f"is {shown(text)}", "1 to 63 of A-Z a-z 0-9 . _ - that begin with a letter or a digit")
    return text


def _is_node_name(text: str) -> str:
    if text.casefold() in _RESERVED:
        raise Problem(f"is {shown(text)}, which a run keeps for itself", "choose another name")
    return _is_name(text)


def check_node_name(text: str) -> str:
    """`text` if a node may have that name. Raises `TopologyError`."""
    try:
        return _is_node_name(text)
    except Problem as problem:
        raise TopologyError(f"the node name {problem.what}", problem.remedy) from None


def _is_address(text: str) -> str:
    return str(Address.parse(text))


def _is_peer_id(text: str) -> str:
    try:
        return parse_peer_id(text)
    except ValueError as error:
        why = str(error).rpartition("is not a PeerId: ")[2]
        raise Problem(f"= {shown(text)} is not a PeerId", why) from error


def _is_dataset(text: str) -> str:
    loader, colon, path = text.partition(":")
    forms = ", ".join(f"{name}:{what}" if what else name for name, what in DATASETS.items())
    if loader in PLANNED_DATASETS:
        raise Problem(f"= {shown(text)} is {NOT_YET}", f"choose of {forms}")
    if loader not in DATASETS:
        raise Problem(f"= {shown(text)} is unknown", f"{nearest(loader, DATASETS)}choose of {forms}")
    if bool(colon) != bool(DATASETS[loader]) or bool(path) != bool(colon):
        form = f"{loader}:{DATASETS[loader]}" if DATASETS[loader] else loader
        raise Problem(
            f"= {shown(text)} is incomplete" if not path else f"= {shown(text)}: {loader} takes no path",
            f"write {form}",
        )
    if not path.isprintable() or len(path) > _PATH_MAX:
        raise Problem(f"= {shown(text)} is no path", f"printable characters, at most {_PATH_MAX}")
    return text


def _is_rule(text: str) -> str:
    if text not in RULES:
        raise Problem(f"= {shown(text)} is unknown", f"{nearest(text, RULES)}choose of {', '.join(RULES)}")
    return text


def _is_adversary(text: str) -> str:
    kind, colon, what = text.partition(":")
    if kind not in ADVERSARIES:
        raise Problem(f"= {shown(text)} is unknown", f"{nearest(kind, ADVERSARIES)}choose of {', '.join(ADVERSARIES)}")
    if kind == "protocol-liar" and what not in BETRAYALS:
        remedy = f"{nearest(what, BETRAYALS)}write protocol-liar: and one of {', '.join(BETRAYALS)}"
        raise Problem(f"= {shown(text)} does not say how it lies", remedy)
    if colon and kind != "protocol-liar" and not (kind in GRADED and _NUMBER.fullmatch(what)):
        remedy = f"write {kind}:3, say" if kind in GRADED else f"write {kind}"
        raise Problem(f"= {shown(text)} is no strength of {kind}", remedy)
    return text


Name = Annotated[str, AfterValidator(_is_name)]
RuleName = Annotated[str, AfterValidator(_is_rule)]
AdversaryName = Annotated[str, AfterValidator(_is_adversary)]
NodeName = Annotated[str, AfterValidator(_is_node_name)]
ListenAddress = Annotated[str, AfterValidator(_is_address)]
CheckedPeerId = Annotated[PeerId, AfterValidator(_is_peer_id)]
DatasetSpec = Annotated[str, AfterValidator(_is_dataset)]
Column = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Layer = Annotated[int, Field(ge=1, le=65536)]


class Task(Section):
    """What is learned, from which data, by which model."""

    planned: ClassVar[Planned] = {"partition": ("by-device",), "model": ("autoencoder",)}

    dataset: DatasetSpec = "digits"
    """digits (embedded) | adult:DIR | mnist:DIR | csv:FILE"""
    label: Column | None = None
    """The column of a csv file to predict; left out: "label"."""
    classes: tuple[Column, ...] | None = Field(default=None, min_length=2, max_length=10_000)
    """Class names, where the rows of a device may lack some; left out: those in the data."""
    partition: Literal["iid", "dirichlet", "shards", "column", "local"] = "dirichlet"
    """iid | dirichlet | shards | column (a value is one node's) | local (each device has its own)"""
    alpha: float = Field(default=0.5, ge=1e-3, le=1e6)
    """Dirichlet concentration: 0.1 few classes a node, 100 nearly the same mixture for all."""
    shards_per_node: int = Field(default=2, ge=1, le=1000)
    """Runs of rows sorted by label that each node gets."""
    column: Column | None = None
    """The column whose values decide which node owns a row."""
    model: Literal["mlp", "linear"] = "mlp"
    """mlp | linear"""
    hidden: tuple[Layer, ...] = Field(default=(64,), min_length=1, max_length=16)
    """Units of each hidden layer."""
    local_epochs: int = Field(default=1, ge=1, le=1000)
    """Passes over a node's own data in a round."""
    batch_size: int = Field(default=32, ge=1, le=65536)
    """Examples a step."""
    learning_rate: float = Field(default=0.05, gt=0, le=10)
    """Step size of SGD."""
    adaptive_rate: bool = False
    """Whether a node trains slower while it runs away from the others: for uneven data and large steps."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Momentum of SGD; 0 for none."""
    weight_decay: float = Field(default=0.0, ge=0, le=1)
    """L2 penalty."""
    holdout: float = Field(default=0.15, ge=0.01, le=0.5)
    """Share of a node's own data that judges champion and challenger, never trained on."""
    promote_margin: float = Field(default=0.01, ge=0, lt=1)
    """An average becomes champion when its holdout loss is lower than the champion's by this share."""
    rollback_margin: float = Field(default=0.5, gt=0, le=1000)
    """How much worse an average may stay on the holdout, as a share of a blind guess's loss."""

    def unused(self) -> frozenset[str]:
        """What the chosen partition and model do not read."""
        owner = {"alpha": "dirichlet", "shards_per_node": "shards", "column": "column"}
        keys = {key for key, partition in owner.items() if partition != self.partition}
        return frozenset(keys | ({"hidden"} if self.model == "linear" else set()))

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if self.partition == "column" and self.column is None:
            remedy = 'add column = "…", the column whose values decide which node owns a row'
            raise Problem('is missing beside partition = "column"', remedy, "column")
        parameters = sum(a * b for a, b in pairwise(self.hidden))
        if parameters > MAX_HIDDEN_PARAMETERS:
            what = f"asks for {parameters:,} parameters between hidden layers; {MAX_HIDDEN_PARAMETERS:,} are the most"
            raise Problem(what, "use fewer or smaller layers", "hidden")
        return self


class Rounds(Section):
    """How long a run is, and when a round may close."""

    count: int = Field(default=30, ge=1, le=MAX_ROUNDS)
    """Rounds of a run."""
    deadline_s: float = Field(default=10.0, ge=0.01, le=86400)
    """Longest wait for the committee, in seconds, in each phase of a round."""
    quorum: float = Field(default=0.6, gt=0, le=1)
    """Share of a committee, oneself included, that must be present to close a round."""
    send_threshold: float = Field(default=0.0, ge=0, lt=1)
    """Change of a model, as a share of its norm, below which it is not sent anew (open rounds); 0: always sent."""


class Consensus(Section):
    """How the models of neighbours become one."""

    committee: Literal["neighbourhood", "cliques", "stars", "grid"] = "neighbourhood"
    """neighbourhood | cliques (of the graph) | stars (of any graph, drawn) | grid (cells of a complete graph)"""
    size: int | None = Field(default=None, ge=2, le=MAX_NODES)
    """Nodes of a cell; of a grid, the number of nodes must be a power of it."""
    epoch: int = Field(default=16, ge=1, le=MAX_ROUNDS)
    """Rounds between two drawings of who shares a cell."""
    rule: RuleName = "mean"
    """mean | fading-mean | nnm+geometric-median | ios | self-centred-clipping | median | krum | balance | ubar | …"""
    byzantine: int = Field(default=0, ge=0, le=MAX_NODES)
    """f: members of a committee that may send anything, and the rule still holds."""

    def unused(self) -> frozenset[str]:
        """What committees that are not drawn, and the mean, do not read."""
        unread = () if self.committee in _DRAWN else ("epoch",)
        return frozenset((*unread, "byzantine") if self.rule == "mean" else unread)

    @model_validator(mode="after")
    def _a_mean_bears_nobody(self) -> Self:
        if self.rule == "mean" and self.byzantine:
            what = f'= {self.byzantine} does not go with rule = "mean": one liar moves a mean anywhere'
            raise Problem(what, 'use rule = "fading-mean", say, or byzantine = 0', "byzantine")
        return self

    @model_validator(mode="after")
    def _size_is_for_cells(self) -> Self:
        kind, size = self.committee, self.size
        if kind in _DRAWN and size is None:
            bound = ": n must be size**r" if kind == "grid" else ": the centre and its neighbours"
            raise Problem(f'is missing beside committee = "{kind}"', f"add size = 4, say{bound}", "size")
        if kind not in _DRAWN and size is not None:
            raise Problem(f'is for committee = "grid" or "stars", not "{kind}"', "take it out", "size")
        return self


class Targets(Section):
    """What a run must reach; `lab up` exits with 1 where it falls short."""

    honest_accuracy: float | None = Field(default=None, gt=0, le=1)
    """Mean test accuracy of the honest nodes after the last round."""
    honest_accuracy_min: float | None = Field(default=None, gt=0, le=1)
    """The lowest of them."""
    consensus_distance: float | None = Field(default=None, gt=0)
    """At most, after the last round."""
    round_s: float | None = Field(default=None, gt=0)
    """Median time of a round at most."""
    wall_s: float | None = Field(default=None, gt=0)
    """Of the whole run at most."""
    bytes_per_node_round: float | None = Field(default=None, gt=0)
    """Sent, at most."""
    epsilon: float | None = Field(default=None, gt=0)
    """Of the node that let out the most, over the whole run, at most."""


class Node(Section):
    """One node."""

    name: NodeName
    """Its folder, and what its peers call it."""
    listen: ListenAddress = LOOPBACK
    """Where its peers reach it; port 0: any free one"""
    peer_id: CheckedPeerId | None = None
    """From `grapevine node init` on the device; the lab makes its own."""
    data: DatasetSpec | None = None
    """This device's own data, beside partition = "local"; left out: the task's dataset."""
    adversary: AdversaryName | None = None
    """How it lies: sign-flip:3, alie, … For the lab; `node start` asks for --allow-adversary."""
