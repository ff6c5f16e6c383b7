"""A computation seen: its steps with their values, and what a sweep of differentiation leaves at each."""

from gradest.graphs.computation import Computation, Node

__all__ = ["Computation", "Node"]
