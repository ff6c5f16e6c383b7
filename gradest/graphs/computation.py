"""What is drawn: the steps of one evaluation, what each was made of, and the derivative that a sweep left there.

Backends make it of what they recorded; this module knows no framework, and neither do the drawings.
"""

from dataclasses import dataclass

from gradest.graphs.dot import dot
from gradest.graphs.picture import svg
from gradest.graphs.step import Node as Node
from gradest.graphs.step import written


@dataclass(frozen=True)
class Computation:
    """The graph of one evaluation, for a drawing; a notebook shows it.

    Attributes
    ----------
    nodes
        Inputs first, then each step after those that it uses; the last is the value of the function.
    mode
        "reverse" (each node has its adjoint) or "forward" (its tangent).
    """

    nodes: tuple[Node, ...]
    mode: str

    @property
    def symbol(self) -> str:
        """What stands before the derivative of a node: the bar of an adjoint, or the dot of a tangent."""
        return "adjoint" if self.mode == "reverse" else "tangent"

    def dot(self) -> str:
        """Return it in the language of Graphviz."""
        return dot(self.nodes, self.symbol)

    def svg(self) -> str:
        """Return it as a drawing that needs no other program, from the inputs on the left to the value on the right."""
        return svg(self.nodes, self.symbol)

    def __repr__(self) -> str:
        """Return one line: a node of a network holds an array."""
        return f"<Computation of {len(self.nodes)} nodes, {self.mode} mode; print shows the table>"

    def __str__(self) -> str:
        """Return it as a table, a row a step, in the order in which they were made."""
        rows = [("step", "name", "of", "value", self.symbol, "turn")]
        for k, node in enumerate(self.nodes):
            derivative = "" if node.derivative is None else written(node.derivative)
            turn = "" if node.turn is None else str(node.turn)
            rows.append((str(k), node.name, ", ".join(map(str, node.parents)), written(node.value), derivative, turn))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        left = (1, 2)  # words stand to the left, numbers to the right
        return "\n".join(
            "  ".join(
                f"{cell:<{w}}" if j in left else f"{cell:>{w}}"
                for j, (cell, w) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        )

    def _repr_html_(self) -> str:
        return f'<div style="overflow-x: auto">{self.svg()}</div>'
