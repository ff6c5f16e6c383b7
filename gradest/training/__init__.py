"""Training under any estimator: optimisers, schedules, batches, budgets, and a log of what a gradient does to it.

`gradest.train` is the door. It knows no framework: parameters are moved by operations of the backend that holds them.
Nothing here writes a file or prints; a run's state is a value.
"""

from gradest.training.budget import Budget, Weights
from gradest.training.optimizers import (
    OPTIMIZERS,
    Adam,
    GradientDescent,
    HeavyBall,
    IterativeRefinement,
    LineSearch,
    Nesterov,
    Optimizer,
    RandomSearch,
    Search,
    get_optimizer,
)
from gradest.training.quality import StepLimit, step_limit
from gradest.training.records import Quality, Record
from gradest.training.restoring import parameters_of
from gradest.training.result import Training, plot
from gradest.training.schedules import SCHEDULES, Constant, Cosine, Schedule, StepDecay, get_schedule
from gradest.training.state import TrainingState
from gradest.training.train import train

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "Adam",
    "Budget",
    "Constant",
    "Cosine",
    "GradientDescent",
    "HeavyBall",
    "IterativeRefinement",
    "LineSearch",
    "Nesterov",
    "Optimizer",
    "Quality",
    "RandomSearch",
    "Record",
    "Schedule",
    "Search",
    "StepDecay",
    "StepLimit",
    "Training",
    "TrainingState",
    "Weights",
    "get_optimizer",
    "get_schedule",
    "parameters_of",
    "plot",
    "step_limit",
    "train",
]
