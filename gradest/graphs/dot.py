"""A computation in the language of Graphviz."""

from collections.abc import Sequence

from gradest.graphs.step import Node


def dot(nodes: Sequence[Node], symbol: str) -> str:
    """Return the text of a digraph, a box a node, arrows from what is used to what uses it."""
    lines = ["digraph computation {", "  rankdir=LR;", '  node [shape=box, fontname="sans-serif", fontsize=11];']
    for k, node in enumerate(nodes):
        turn = "" if node.turn is None else f"{node.turn}. "
        label = "\\n".join(_quoted(line) for line in (turn + node.name, *node.lines(symbol)[1:]))
        lines.append(f'  n{k} [label="{label}"{"" if node.parents else ", style=rounded"}];')
    lines += [f"  n{parent} -> n{k};" for k, node in enumerate(nodes) for parent in node.parents]
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
