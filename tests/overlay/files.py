"""Topology files to take apart."""

import pytest

from crypto.identity import Identity
from overlay.topology import TopologyError, parse_topology

PEER_IDS = [Identity.from_seed(bytes([i]) * 32).peer_id for i in range(20)]


def nodes(n, **keys):
    lines = "".join(f"{key} = {value}\n" for key, value in keys.items())
    return "".join(f'\n[[node]]\nname = "press-{i + 1}"\n{lines}' for i in range(n))


def document(n=4, head="", graph='family = "ring"', after=""):
    return f'name = "plant"\n{head}\n[graph]\n{graph}\n{after}\n{nodes(n)}'


def parsed(*arguments, **keywords):
    return parse_topology(document(*arguments, **keywords), "plant.toml")


def refusal(text):
    with pytest.raises(TopologyError) as refused:
        parse_topology(text, "plant.toml")
    return refused.value


LONG = """
name = "plant"
seed = 3
[task]
dataset = "csv:/here.csv"
label = "state"
partition = "shards"
alpha = 0.4
shards_per_node = 3
column = "site"
model = "linear"
hidden = [16, 8]
local_epochs = 2
batch_size = 8
learning_rate = 0.1
momentum = 0.5
weight_decay = 0.01
holdout = 0.2
promote_margin = 0.01
rollback_margin = 0.7
[rounds]
count = 5
deadline_s = 2.5
quorum = 0.75
[graph]
family = "k-regular"
degree = 3
[targets]
honest_accuracy = 0.5
""" + nodes(6, listen='"/ip4/127.0.0.1/tcp/0"')
