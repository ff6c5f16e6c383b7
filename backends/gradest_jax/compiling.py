"""How XLA is asked to compile what runs so seldom that compiling takes longer than all its runs."""

import inspect
import os
from functools import cache
from typing import Any

import jax

_Options = dict[str, Any]


@cache
def quickly_compiled() -> _Options:
    """Return the keywords of `jax.jit` under which XLA compiles for a CPU in a third to a half of the time.

    Empty where this JAX takes no such options, or has other devices than CPUs.
    """
    if jax.default_backend() != "cpu" or "compiler_options" not in inspect.signature(jax.jit).parameters:
        return {}
    # LLVM's third level unrolls loops over rows of fewer than some 64 entries: the tanh of a (64, 32) array takes a
    # tenth of a second, and 15 ms on the second level.
    options: _Options = {"xla_backend_optimization_level": 2}
    # The emitters that XLA had before its present ones halve the rest, and what they emit is slower for large arrays.
    further: _Options = {"xla_cpu_use_fusion_emitters": False}
    if _one_core():
        further["xla_cpu_parallel_codegen_split_count"] = 1  # in parts, to be compiled side by side, it takes longer
    if not _knows(further):
        further = {name: value for name, value in further.items() if _knows({name: value})}
    return {"compiler_options": options | further}


def _knows(options: _Options) -> bool:
    """Return whether this XLA has all options: they come and go with its versions, and no table lists them."""
    try:
        jax.jit(lambda x: x, compiler_options=options).lower(0.0).compile()
    except jax.errors.JaxRuntimeError as error:
        if "No such compile option" not in str(error):
            raise
        return False
    return True


def _one_core() -> bool:
    return (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()) == 1
