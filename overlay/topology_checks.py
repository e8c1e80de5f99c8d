"""What must hold between the tables of a topology file. Checks raise `Problem`, its key from the top of the file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Final

from consensus.beacon_messages import MAX_NODES
from consensus.committee import Plan, plan
from consensus.errors import PlanError
from consensus.rules import least_members
from overlay.addresses import Address
from overlay.families import Edge
from overlay.topology_detect import Detect
from overlay.topology_errors import Problem, listed, shown
from overlay.topology_privacy import Privacy
from overlay.topology_schema import Consensus, Node, Rounds, Task
from overlay.topology_sharing import Setting, sharing_of

_REMEDY: Final = {
    "neighbourhood": "every connected graph has neighbourhoods: check [graph]",
    "cliques": 'use family = "d-cliques" or "complete", or committee = "neighbourhood", which every graph allows',
    "stars": 'use a smaller size or a graph of higher degree, or committee = "neighbourhood"',
    "grid": 'use family = "complete" with size**r nodes, or committee = "neighbourhood"',
}

_DRAWN: Final = ("stars", "grid")
_OPEN_STARS: Final = 'use committee = "neighbourhood", or add sharing = "shamir" to [privacy]'
_USE_CELLS: Final = 'use committee = "cliques" with family = "complete" or "d-cliques", or committee = "stars"'


def committee_plan(
    consensus: Consensus, names: Sequence[str], edges: Sequence[Edge], seed: int, *, shared: bool
) -> Plan:
    """The plan of the committees that `consensus` asks for, where the graph allows them; `shared` in secret."""
    kind = consensus.committee
    if kind == "stars" and not shared:
        why = "is for private rounds, in which members of a star speak through its centre; in the open"
        raise Problem(f'= "stars" {why} neighbourhoods average over every edge', _OPEN_STARS, "consensus.committee")
    if kind in _DRAWN and shared and len(names) > MAX_NODES:
        what = f'= "{kind}" with sharing needs a beacon, which bears {MAX_NODES} nodes: here are {len(names)}'
        raise Problem(what, 'use fewer nodes, or committee = "cliques"', "consensus.committee")
    try:
        made = plan(kind, len(names), edges, seed, consensus.size, consensus.epoch, shared=shared)
    except PlanError as error:
        raise _misfit(kind, str(error)) from error
    if kind == "grid":
        _check_complete(names, edges)
    _check_company(kind, names, made)
    return made


def _check_complete(names: Sequence[str], edges: Sequence[Edge]) -> None:
    n = len(names)
    if len(edges) == n * (n - 1) // 2:
        return
    present = set(edges)
    i, j = next(pair for pair in combinations(range(n), 2) if pair not in present)
    theorem = "any two nodes may come to share a cell, so every pair must be an edge"
    raise _misfit("grid", f"{theorem}; {names[i]} – {names[j]} is none")


def _check_company(kind: str, names: Sequence[str], made: Plan) -> None:
    if kind == "stars":
        return  # whom no star takes sits a round out
    # A clique of one averages with nobody in the first phase, and could hide nothing in a sum.
    alone = [name for i, name in enumerate(names) if len(made.phases_of(i, 0)[0]) < 2]
    if alone:
        raise _misfit(kind, f"every node needs a clique of two or more; alone: {listed(alone)}")


def check_privacy(privacy: Privacy, task: Task) -> None:
    """Noise for rows is made for a number of rows that all know, and a rate that all know."""
    if privacy.dp == "record" and task.partition == "local" and privacy.rows is None:
        why = 'is missing: with partition = "local" nobody can work out how many rows the others have'
        raise Problem(why, "add rows = 1000, say: about what a node has, and no secret", "privacy.rows")
    if privacy.dp != "off" and task.adaptive_rate:
        what = f'= true does not go with dp = "{privacy.dp}": a rate that follows the rows is not accounted for'
        raise Problem(what, "write adaptive_rate = false", "task.adaptive_rate")


def check_rule(consensus: Consensus, names: Sequence[str], made: Plan) -> None:
    """The rule bears so many liars in the smallest committee of any phase."""
    rule, liars = consensus.rule, consensus.byzantine
    if rule == "mean":
        return
    least = least_members(rule, liars)
    sizes = {len(phase): name for i, name in enumerate(names) for phase in made.phases_of(i, 0) if len(phase) > 1}
    smallest = consensus.size or min(sizes, default=1)  # of cells that are drawn a round may leave somebody out
    if smallest < least:
        who = f" ({sizes[smallest]})" if smallest in sizes else ""
        has = f"the smallest committee has {smallest}{who}"
        what = f"= {liars} is too many for {rule}: it needs {least} members, and {has}"
        raise Problem(what, "use a smaller byzantine, another rule, or larger committees", "consensus.byzantine")


def check_bench(detect: Detect, consensus: Consensus, privacy: Privacy) -> None:
    """Somebody sits a round out where cells do not change by themselves, and sums alone are seen."""
    if not detect.bench:
        return
    if privacy.sharing != "shamir":
        what = f'= 1 is for sharing = "shamir": with "{privacy.sharing}" everybody is seen, or nobody is left out'
        raise Problem(what, "write bench = 0", "detect.bench")
    if consensus.committee != "cliques":
        what = f'= 1 is for cells that never change: committee = "{consensus.committee}" draws them anew'
        raise Problem(what, "write bench = 0", "detect.bench")


def check_sends(rounds: Rounds, privacy: Privacy) -> None:
    """Changes are seen where models are."""
    if rounds.send_threshold and privacy.sharing != "none":
        what = f'= {rounds.send_threshold:g} does not go with sharing = "{privacy.sharing}", which sends no models'
        raise Problem(what, "write send_threshold = 0.0", "rounds.send_threshold")


def check_kept_rounds(privacy: Privacy, consensus: Consensus) -> None:
    """Who asks for shares to be kept has cells in which they can be used."""
    if not privacy.keep_rounds:
        return
    what = None
    if consensus.committee != "cliques":
        what = f'committee = "{consensus.committee}" draws cells anew, and who holds a member\'s shares is scattered'
    elif privacy.coordinates < 1:
        what = "rounds that are about other coordinates each time leave nothing that could be subtracted alike"
    if privacy.sharing == "shamir" and what is not None:
        raise Problem(f"= {privacy.keep_rounds} has no effect: {what}", "take it out", "privacy.keep_rounds")


def check_sharing(privacy: Privacy, consensus: Consensus, names: Sequence[str], made: Plan, bench: int = 0) -> None:
    """The committees can hide what is shared in them."""
    kind, here = consensus.committee, f'= "{privacy.sharing}"'
    if kind == "neighbourhood":
        why = "the sums of neighbourhoods that overlap can be subtracted, and what is left is one node's update"
        raise Problem(f'{here} does not go with committee = "neighbourhood": {why}', _USE_CELLS, "privacy.sharing")
    members = cell_size(consensus, names, made, here)
    if privacy.screen and not consensus.byzantine:
        what = "= true weighs updates so as to bear a number of liars, and consensus.byzantine is 0"
        remedy = 'write rule = "nnm+geometric-median" and byzantine = 2, say, in [consensus]'
        raise Problem(what, remedy, "privacy.screen")
    try:
        sharing_of(privacy, Setting(members, 1.0, bench=bench, rule=consensus.rule, byzantine=consensus.byzantine))
    except PlanError as error:
        numbers = "tolerated, packing, liars or absentees" if privacy.sharing == "shamir" else "tolerated or absentees"
        remedy = f"use larger cells, or lower {numbers}"
        raise Problem(f"{here} does not fit cells of {members}: {error}", remedy, "privacy.sharing") from error


def cell_size(consensus: Consensus, names: Sequence[str], made: Plan, here: str = "sharing") -> int:
    """Members of every cell of the secret phase."""
    if consensus.size is not None:
        return consensus.size
    sizes = {len(made.phases_of(member, 0)[0]): name for member, name in enumerate(names)}
    if len(sizes) > 1:
        found = listed([f"{size} ({name})" for size, name in sorted(sizes.items())])
        what = f"{here} needs cells of one size; the cliques here have {found} members"
        raise Problem(what, _USE_CELLS, "privacy.sharing")
    return min(sizes)


def _misfit(kind: str, why: str) -> Problem:
    return Problem(f'= "{kind}" does not fit: {why}', _REMEDY[kind], "consensus.committee")


def check_unique(nodes: Sequence[Node]) -> None:
    """No two nodes share a name, a fixed address or a PeerId."""
    # Case is folded because names become folders, and some file systems fold them.
    _refuse_repeat("name", [node.name.casefold() for node in nodes], "rename one of them (case does not count)")
    fixed = [node.listen if Address.parse(node.listen).port else None for node in nodes]
    _refuse_repeat("listen", fixed, "give each its own address or port, or port 0 to let the system choose")
    remedy = "run `grapevine node init` on each device: a key belongs to one node"
    _refuse_repeat("peer_id", [node.peer_id for node in nodes], remedy)


def _refuse_repeat(key: str, values: Iterable[str | None], remedy: str) -> None:
    places: dict[str, int] = {}
    for place, value in enumerate(values):
        if value is None:
            continue
        if value in places:
            what = f"is that of [[node]] {places[value] + 1} as well: {shown(value)}"
            raise Problem(what, remedy, f"node.{place}.{key}")
        places[value] = place


def check_data(task: Task, nodes: Sequence[Node]) -> None:
    """Data of a node's own has an effect."""
    for place, node in enumerate(nodes):
        if node.data is not None and task.partition != "local":
            remedy = 'set partition = "local" in [task], or take it out'
            raise Problem(f'has no effect with partition = "{task.partition}"', remedy, f"node.{place}.data")
