"""The best 0-1 vector of a large integer program, with a bound.

Belongs here: branch and cut on the core of a program. Does not belong here: what the program stands for
(actions_optimizer).

Solved by HiGHS (Huangfu and Hall, Mathematical Programming Computation 10, 2018). A large program is solved on its
core: what the duals of its linear relaxation leave open (Balas and Zemel, Operations Research 28, 1980), which takes a
tenth of the time of branch and cut on the whole (`liftlake bench optimizer` prints what it takes).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import csr_array

from ml.actions_limits import Refused

# Stop when the choice is proven to be this close to the best.
RELATIVE_GAP = 1e-4
# A limit of work instead of time: the same program gives the same answer on every machine.
NODES = 5_000
# Variables that are searched whole; of more, as many as the relaxation leaves most open.
CORE = 4_000
_INFEASIBLE = 2
_HALF, _TOLERANCE = 0.5, 1e-6
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Program:
    """Maximise value x under upper_rows x <= upper, every x 0 or 1."""

    value: NDArray[np.float64]
    upper_rows: csr_array
    upper: NDArray[np.float64]

    def part(self, is_open: Flags, fixed: Flags) -> Program:
        """The program of the open variables, the others as they are fixed."""
        left = self.upper - self.upper_rows @ (fixed & ~is_open).astype(float)
        return Program(self.value[is_open], csr_array(self.upper_rows[:, np.flatnonzero(is_open)]), left)


def solve(program: Program) -> tuple[Flags | None, float]:
    """The best choice and the bound, which no choice exceeds; no choice and minus infinity where there is none.

    They are within RELATIVE_GAP of each other unless the search ends after NODES. The bound is that of the whole
    program: the core is widened to all that can improve on what was found (reduced-cost fixing) while the gap is
    too large.

    Raises:
        Refused: no choice was found within NODES.
    """
    scale = float(np.abs(program.value).max(initial=0.0)) or 1.0
    scaled = replace(program, value=program.value / scale)
    taken, bound = _branch_and_cut(scaled) if len(program.value) <= CORE else _on_core(scaled)
    return taken, bound * scale


def _on_core(program: Program) -> tuple[Flags | None, float]:
    relaxed = linprog(-program.value, program.upper_rows, program.upper, bounds=(0, 1), method="highs-ds")
    if relaxed.status == _INFEASIBLE:
        return None, -np.inf
    bound = -float(relaxed.fun)
    reduced = np.abs(-program.value - program.upper_rows.T @ relaxed.ineqlin.marginals)
    fixed = relaxed.x > _HALF
    is_fractional = np.abs(relaxed.x - fixed) > _TOLERANCE
    core = is_fractional.copy()
    core[np.argsort(reduced, kind="stable")[:CORE]] = True
    found, _ = _branch_and_cut(program.part(core, fixed))
    taken = None if found is None else _filled(core, fixed, found)
    worth = -np.inf if taken is None else float(program.value[taken].sum())
    if bound - worth > RELATIVE_GAP * abs(bound):
        wider = is_fractional | (reduced <= bound - worth)
        again, proven = _branch_and_cut(program.part(wider, fixed))
        taken = taken if again is None else _filled(wider, fixed, again)
        bound = min(bound, max(worth, proven + float(program.value[fixed & ~wider].sum())))
    return taken, bound


def _filled(is_open: Flags, fixed: Flags, found: Flags) -> Flags:
    taken = fixed.copy()
    taken[is_open] = found
    return taken


def _branch_and_cut(program: Program) -> tuple[Flags | None, float]:
    """The best choice, None where there is none, and the bound.

    Raises:
        Refused: no choice was found within NODES.
    """
    lowest = np.full(len(program.upper), -np.inf)
    found = milp(
        -program.value, integrality=np.ones(len(program.value)), bounds=Bounds(0, 1),
        constraints=LinearConstraint(program.upper_rows, lowest, program.upper),  # pyright: ignore[reportArgumentType]
        options={"mip_rel_gap": RELATIVE_GAP, "node_limit": NODES},
    )  # fmt: skip
    if found.status == _INFEASIBLE:
        return None, -np.inf
    if found.x is None:
        raise Refused(f"No plan was found: {found.message} Widen a limit, or plan fewer product groups at a time.")
    return found.x > _HALF, -float(found.mip_dual_bound)
