"""`grapevine node`: one node on one device."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from node.api.endpoint import parse_endpoint
from node.state import StateFolder
from node.status import draw_status, read_status
from overlay.topology import load_topology
from overlay.topology_schema import check_node_name

app = typer.Typer(help="One node on this device.", no_args_is_help=True)
State = Annotated[Path | None, typer.Option(help="State folder. (default: NAME)", show_default=False)]


@app.command("init", epilog="Example: grapevine node init --name press-1 --state /var/lib/grapevine")
def init(
    name: Annotated[str, typer.Option(help="The node's name in the topology file.", show_default=False)],
    state: State = None,
) -> None:
    """Make the key and the state folder of a node, and print the PeerId to put on every device's topology file."""
    folder = StateFolder(state or Path(name))
    check_node_name(name)
    identity = folder.create_identity()
    sys.stderr.write(f"Made {folder.key_path}. Put this at {name!r} in the topology file of every device:\n")
    sys.stdout.write(f'peer_id = "{identity.peer_id}"\n')


@app.command("start", epilog="Example: grapevine node start --topology rack.toml --name press-1")
def start(
    topology: Annotated[Path, typer.Option(help="Topology file, the same on every device.", show_default=False)],
    name: Annotated[str, typer.Option(help="Which node of the file this device is.", show_default=False)],
    state: State = None,
    rounds: Annotated[int | None, typer.Option(min=1, max=1_000_000, help="Instead of the file's count.")] = None,
    api: Annotated[
        str | None, typer.Option(help="HOST:PORT of its API; tokens: `grapevine token make`.", show_default=False)
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="PEM chain, for an API beyond loopback.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key, PEM.")] = None,
    store: Annotated[
        str | None,
        typer.Option(
            envvar="GRAPEVINE_STORE",
            help="postgresql://USER@HOST/NAME, a database of this node's own, instead of store.db in its state folder. "
            "A password belongs into the variable or into ~/.pgpass: others see command lines.",
            show_default=False,
        ),
    ] = None,
    keep_days: Annotated[
        float, typer.Option(min=1, max=36_500, help="How long its store keeps rounds, evidence and old champions.")
    ] = 400,
    allow_adversary: Annotated[
        bool, typer.Option("--allow-adversary", help="Start a node that the file makes an adversary.")
    ] = False,
) -> None:
    """Run one node in the foreground until SIGTERM or Ctrl-C. It resumes where it stopped.

    After the last round it stays and helps neighbours that are behind.
    """
    parsed = load_topology(topology).with_overrides(rounds=rounds)
    endpoint = None if api is None else parse_endpoint(api, tls_cert, tls_key)
    parsed.index(name)  # a name that is not in the file is an error of its own
    from node.device import run_device  # noqa: PLC0415 - imports torch: the checks above should not wait for it

    run_device(
        parsed,
        name,
        StateFolder(state or Path(name)),
        topology,
        allow_adversary=allow_adversary,
        api=endpoint,
        store=store,
        keep_days=keep_days,
    )


@app.command("status", epilog="Example: grapevine node status /var/lib/grapevine --json")
def status(
    state: Annotated[Path, typer.Argument(help="State folder, or a node's folder in a run.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """One screen on a node of this machine, running or not, from its journal."""
    report = read_status(state)
    if as_json:
        sys.stdout.write(json.dumps(report.as_dict()) + "\n")
    else:
        Console().print(draw_status(report))
