"""Train an `nn.Module` by `torch.optim` and a schedule, under any estimator: `method="es"` would do as well."""

import torch

import gradest


def train(model: torch.nn.Module, x: torch.Tensor, y: torch.Tensor, *, steps: int, method: str = "reverse") -> None:
    """Take steps of SGD with momentum on the mean squared error; the model is trained in place."""
    loss = torch.nn.functional.mse_loss
    gradient_of = gradest.grad(lambda model, x, y: loss(model(x), y), method=method)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    for step in range(steps):
        gradest.assign(model, gradient_of(model, x, y, rng=step))
        optimizer.step()
        schedule.step()
