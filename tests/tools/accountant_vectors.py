"""Prints tests/vectors/accountant.json, from opacus.

pip install --no-deps opacus opt_einsum
python tests/tools/accountant_vectors.py > tests/vectors/accountant.json
"""

import json
import warnings

import opacus
from opacus.accountants.analysis import rdp

ORDERS = [1 + x / 10 for x in range(1, 100)] + list(range(12, 64))
"""Those of opacus' RDPAccountant."""
CASES = [
    (q, z, order)
    for q in (0.001, 0.01, 0.3, 0.5, 0.9)
    for z in (0.6, 1.0, 2.0, 8.0)
    for order in (1.25, 1.5, 2, 2.75, 8.5, 31.25, 64)
]
BUDGETS = [
    (0.01, 1.1, 10000, 1e-5),
    (0.004, 1.0, 5000, 1e-6),
    (0.3, 2.0, 60, 1e-5),
    (0.5, 4.633, 60, 1e-5),
    (0.4, 3.8, 60, 1e-5),
    (0.05, 0.8, 200, 1e-5),
]


def divergence(q, z, order):
    value = rdp.compute_rdp(q=q, noise_multiplier=z, steps=1, orders=[order])[0]
    return {"sampling": q, "multiplier": z, "order": order, "rdp": float(value)}


def budget(q, z, steps, delta):
    values = rdp.compute_rdp(q=q, noise_multiplier=z, steps=steps, orders=ORDERS)
    epsilon, _ = rdp.get_privacy_spent(orders=ORDERS, rdp=values, delta=delta)
    return {"sampling": q, "multiplier": z, "steps": steps, "delta": delta, "epsilon": float(epsilon)}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    vectors = {
        "source": f"opacus {opacus.__version__}, rdp.compute_rdp and rdp.get_privacy_spent",
        "command": "python tests/tools/accountant_vectors.py > tests/vectors/accountant.json",
        "divergences": [divergence(*case) for case in CASES],
        "budgets": [budget(*case) for case in BUDGETS],
    }
    print(json.dumps(vectors, indent=1))
