"""`run.json`: what a run knows that no journal does. The lab writes it, the report reads it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from node.errors import UserError
from node.files import read_bounded, write_atomically

FILE_NAME = "run.json"
MAX_BYTES = 64 << 20
MAX_ROUNDS = 1_000_000

Duration = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class RecordError(UserError):
    """The folder holds no run, or its record cannot be read."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class NodeRecord(_Frozen):
    """One node of the run, in file order."""

    name: str = Field(min_length=1, max_length=128)
    """Also the name of its folder."""
    role: Literal["honest", "adversary"] = "honest"
    adversary: str | None = None
    """Which behaviour an adversary follows; None for an honest node."""
    peer_id: str | None = None

    @field_validator("name")
    @classmethod
    def _is_one_folder(cls, name: str) -> str:
        # The report opens RUN/NAME/journal.jsonl: a name must not lead out of the run folder.
        if name in {".", ".."} or any(character in name for character in "/\\\0"):
            raise ValueError(f"{name!r} cannot be the name of a folder: leave out '/', '\\' and NUL")
        return name


class Baselines(_Frozen):
    """Test accuracies of the same model without a swarm, 0 to 1."""

    centralised: Share | None = None
    """Trained on all shards in one place."""
    local_only_mean: Share | None = None
    local_only: dict[str, Share] = {}
    """Node name → trained on its own shard alone."""
    backdoor: dict[str, Share] = {}
    """Honest node → success of the run's backdoor on its last model; empty where no adversary plants one."""


class RunRecord(_Frozen):
    """Everything about a run that is not in a journal.

    Write it when the run begins, with `interrupted` true, and again when it ends: a run that was cut off then still
    has a report.
    """

    format: Literal[1] = 1
    name: str
    """Of the topology."""
    seed: int
    rounds: int = Field(ge=1, le=MAX_ROUNDS)
    """As asked for, after `--rounds`."""
    topology: str = ""
    """Text of the topology file (TOML) as run."""
    nodes: tuple[NodeRecord, ...] = Field(min_length=1, max_length=4096)
    edges: tuple[tuple[str, str], ...] = ()
    """Of the graph, by node name, each once."""
    delta: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Of `[privacy]`: what every ε is told at; None where none is claimed."""
    targets: dict[str, float] = {}
    """Key of `[targets]` → value."""
    baselines: Baselines = Baselines()
    wall_s: Duration | None = None
    """Whole run, from the first process to the last."""
    cpu_s: Duration | None = None
    """All node processes together."""
    startup_s: Duration | None = None
    """From the first process until every node was ready."""
    interrupted: bool = False
    restarts: dict[str, int] = {}
    """Node name → how often the lab started it again."""
    unfinished: tuple[str, ...] = ()
    """Nodes that ended before their last round in a run that was not interrupted."""

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        names = [node.name for node in self.nodes]
        known = set(names)
        if len(known) < len(names):
            repeated = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"two nodes are named {repeated!r}")
        for key, used in (
            ("edges", [name for edge in self.edges for name in edge]),
            ("restarts", list(self.restarts)),
            ("unfinished", list(self.unfinished)),
            ("baselines.local_only", list(self.baselines.local_only)),
            ("baselines.backdoor", list(self.baselines.backdoor)),
        ):
            _check_known(key, used, known)
        return self


def _check_known(key: str, used: Iterable[str], known: set[str]) -> None:
    unknown = sorted(set(used) - known)
    if unknown:
        raise ValueError(f"{key} names {unknown[0]!r}, which is no node of the run")


def write_record(record: RunRecord, run_dir: Path) -> None:
    """Replace `run_dir`/run.json atomically."""
    write_atomically(run_dir / FILE_NAME, record.model_dump_json(indent=1).encode() + b"\n", durable=False)


def read_record(run_dir: Path) -> RunRecord:
    """Raises RecordError, which says what is wrong with `run_dir`/run.json and what to do."""
    path = run_dir / FILE_NAME
    try:
        return RunRecord.model_validate_json(read_bounded(path, MAX_BYTES))
    except (FileNotFoundError, NotADirectoryError):
        raise RecordError(
            f"{run_dir} holds no run: {FILE_NAME} is missing",
            "Give the folder that `grapevine lab up FILE --out DIR` wrote.",
        ) from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise RecordError(
            f"{path}: {where}: {first['msg']}",
            "Run the topology again, or restore the file: it is written by `grapevine lab up`, not by hand.",
        ) from None
    except (OSError, ValueError) as error:
        raise RecordError(f"{path} cannot be read: {error}", "Check the file and its permissions.") from None
