"""Where a run of training stands, as a value: it can be kept as bytes, and a run goes on from it as if never stopped.

Keeping it is the caller's: nothing here writes a file.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from gradest.backend import Backend
from gradest.errors import InvalidInputError
from gradest.estimate import Cost
from gradest.operations import NumpyArray
from gradest.training.budget import Weights
from gradest.training.records import Record

FORMAT = 1
"""The number of the form of these bytes, which grows where an older gradest could not read them."""

Arrays = tuple[NumpyArray, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingState:
    """States where a run stands.

    Attributes
    ----------
    run
        What is run, in words: a run with other words cannot go on from here.
    step, cost, seconds
        Steps made, what they took, and how long.
    params, moments
        Parameter arrays, and what the optimiser remembers of each, in the order of the layout.
    weights
        What derivatives count in losses.
    records
        What was logged.
    best, best_step, best_loss
        The parameters of the least loss that was watched, and where that was; None where nothing is watched.
    waited
        How many logs since then.
    estimator
        What a stateful estimator keeps; None for others.
    random
        Where the framework's random generator stands, from which a user's function may draw; None for a problem.
    logging_cost
        What was evaluated for the log.
    ended
        Why the run ended, or "".

    Examples
    --------
    >>> import gradest
    >>> from gradest.training import Budget, TrainingState
    >>> bowl = gradest.get_problem("quadratic", size=3)
    >>> half = gradest.train(bowl, "reverse", budget=Budget(steps=5)).state
    >>> again = TrainingState.from_bytes(half.to_bytes())
    >>> resumed = gradest.train(bowl, "reverse", budget=Budget(steps=10), state=again)
    >>> whole = gradest.train(bowl, "reverse", budget=Budget(steps=10))
    >>> resumed.state.step, bool((resumed.params["x"] == whole.params["x"]).all())
    (10, True)
    """

    run: str
    step: int
    cost: Cost
    seconds: float
    params: Arrays
    moments: tuple[Arrays, ...]
    weights: Weights
    records: tuple[Record, ...]
    best: Arrays | None = None
    best_step: int | None = None
    best_loss: float | None = None
    waited: int = 0
    estimator: Any = None
    random: Any = None
    logging_cost: Cost = field(default_factory=Cost)
    ended: str = ""

    def __repr__(self) -> str:
        """Return one line; a state holds the parameters, and twice again as much for an optimiser's moments."""
        ended = f", {self.ended}" if self.ended else ""
        return f"<TrainingState after {self.step:,} steps, {self.cost}{ended}; to_bytes keeps it>"

    def to_bytes(self) -> bytes:
        """Return it as bytes, NumPy's .npz, of which every number is the same when it is read."""
        arrays: dict[str, NumpyArray] = {}
        plain = {
            "format": FORMAT,
            **{name: getattr(self, name) for name in _PLAIN},
            "cost": asdict(self.cost),
            "logging_cost": asdict(self.logging_cost),
            "weights": asdict(self.weights),
            "records": [record.plain() for record in self.records],
            **{name: _taken_apart(getattr(self, name), arrays) for name in _OF_ARRAYS},
        }
        memory = io.BytesIO()
        # JSON gives back Python's floats bit for bit, by their shortest repr; Python's reader knows NaN and infinity.
        np.savez(memory, plain=np.frombuffer(json.dumps(plain).encode(), dtype=np.uint8), **arrays)
        return memory.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> "TrainingState":
        """Return the state that `to_bytes` was of.

        Raises
        ------
        InvalidInputError
            The bytes are no such state, or one of a newer form.
        """
        try:
            # A state may be another's file: nothing in it is executed.
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            plain = json.loads(arrays.pop("plain").tobytes())
            form = plain.pop("format")
            if form == FORMAT:
                return cls(**_read(plain, arrays))
        except Exception as error:  # a file that is cut short, damaged, or of something else, fails in many ways
            found = f"{len(content)} bytes" if isinstance(content, bytes) else type(content).__name__
            raise InvalidInputError(
                f"a state of training was asked for, as bytes of TrainingState.to_bytes; found {found} of no such, or "
                "a damaged one; give a file that `gradest train --state` wrote, whole, or begin anew without a state"
            ) from error
        raise InvalidInputError(
            f"a state of training of form {FORMAT} was asked for; found form {form!r}; read it with the gradest that "
            "wrote it, or begin anew without a state"
        )


_PLAIN = ("run", "step", "seconds", "best_step", "best_loss", "waited", "ended")
_OF_ARRAYS = ("params", "moments", "best", "estimator", "random")


def _taken_apart(value: Any, arrays: dict[str, NumpyArray]) -> Any:
    """Return nested containers as JSON can hold them, their arrays put aside under a name."""
    if isinstance(value, tuple | list):
        return {type(value).__name__: [_taken_apart(item, arrays) for item in value]}
    if isinstance(value, dict):
        # As pairs: JSON has texts alone for keys, and would make "1" of 1.
        return {"dict": [[key, _taken_apart(item, arrays)] for key, item in value.items()]}
    if isinstance(value, np.ndarray | np.generic):
        name = f"array{len(arrays)}"
        # Files of NumPy's know its own dtypes alone; JAX's bfloat16 is float32 with fewer digits, which holds it.
        arrays[name] = np.asarray(value, dtype=np.float32 if value.dtype.kind == "V" else None)
        return {"array": name}
    return {"is": value}


def _read(plain: dict[str, Any], arrays: Mapping[str, NumpyArray]) -> dict[str, Any]:
    """Return the fields of a state from what JSON holds of them."""
    return {
        **{name: plain[name] for name in _PLAIN},
        **{name: Cost(**plain[name]) for name in ("cost", "logging_cost")},
        "weights": Weights(**plain["weights"]),
        "records": tuple(map(Record.read, plain["records"])),
        **{name: _put_together(plain[name], arrays) for name in _OF_ARRAYS},
    }


def _put_together(found: Any, arrays: Mapping[str, NumpyArray]) -> Any:
    ((kind, content),) = found.items()
    if kind in ("tuple", "list"):
        items = [_put_together(item, arrays) for item in content]
        return tuple(items) if kind == "tuple" else items
    if kind == "dict":
        return {key: _put_together(item, arrays) for key, item in content}
    return arrays[content] if kind == "array" else content


LEAF = "of the framework"


def as_numpy(state: Any, backend: Backend) -> Any:
    """Return what a stateful estimator keeps with the framework's arrays as NumPy's, told apart from NumPy's own."""
    if isinstance(state, tuple | list):
        return type(state)(as_numpy(item, backend) for item in state)
    if isinstance(state, dict):
        return {key: as_numpy(item, backend) for key, item in state.items()}
    if backend.owns(state) and not isinstance(state, np.ndarray):
        return {LEAF: backend.numpy(state), "dtype": backend.dtype(state), "device": backend.device(state)}
    return state


def as_leaves(state: Any, backend: Backend) -> Any:
    """Return what `as_numpy` made in the framework's arrays again."""
    if isinstance(state, tuple | list):
        return type(state)(as_leaves(item, backend) for item in state)
    if isinstance(state, dict):
        if LEAF in state:
            return backend.array(state[LEAF], dtype=state["dtype"], device=state["device"])
        return {key: as_leaves(item, backend) for key, item in state.items()}
    return state
