"""Which tables a command is about: names of tables and of layers, as its user gives them.

Belongs here: the one meaning of a SELECTION. Does not belong here: what is done with the tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from assets.automation.plan import Node
from cli.output import WRONG_USE, stop


def chosen_nodes(nodes: Iterable[Node], names: Sequence[str]) -> list[Node]:
    """The nodes of the named tables (`silver.dim_product`) and layers (`silver`), in graph order.

    Ends the command with exit code 2 when a name is neither.
    """
    by_name = {".".join(node.key): node for node in nodes}
    layers = {node.key[0] for node in by_name.values()}
    unknown = [name for name in names if name not in by_name and name not in layers]
    if unknown:
        stop(f"Unknown table or layer {', '.join(unknown)}. `liftlake status` lists them.", WRONG_USE)
    return [node for name, node in by_name.items() if name in names or node.key[0] in names]
