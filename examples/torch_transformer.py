"""A transformer layer of PyTorch with dropout, in training mode, by four estimators.

    python examples/torch_transformer.py

The module is given as it is: `f(model, *args)`, with the model as parameters. Dropout draws a mask in each forward
pass. Within one estimate every evaluation sees the same mask, drawn from the random state that reverse mode would use,
so that all estimators below differentiate one and the same loss; afterwards the generator is where one forward pass
would have left it.

Which estimator for such a loss:

- Reverse mode, whenever the loss is differentiable: one pass back costs about two forward passes, whatever P is.
- Central differences evaluate 2 P times and need no derivatives: to check a gradient, with parameters in float64.
- Evolution strategies and SPSA have an error of about sqrt(P / N) of the gradient's length. They are for losses that
  have no derivative (a metric, a reward, a quantised model), and keep no graph: here they show what that costs. Random
  signs (SPSA) have the least error of all laws with independent entries, and are the cheapest to draw.
"""

import torch
from torch import nn

import gradest

ESTIMATORS = {
    "reverse": {},
    "fd-central": {},
    "es": {"num_samples": 300, "sigma": 1e-3},
    "spsa": {"num_samples": 300, "sigma": 1e-3},
}


class Classifier(nn.Module):
    """An embedding, one encoder layer with dropout, and a linear head on the mean over places."""

    def __init__(self, *, width: int = 4) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, width)
        self.encoder = nn.TransformerEncoderLayer(width, 2, 2 * width, dropout=0.3, batch_first=True)
        self.head = nn.Linear(width, 2)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return logits `(B, 2)` for tokens `(B, T)`."""
        logits: torch.Tensor = self.head(self.encoder(self.embedding(tokens)).mean(dim=1))
        return logits


def loss(model: nn.Module, tokens: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy, as it was before gradest."""
    return nn.functional.cross_entropy(model(tokens), labels)


def flat(gradient: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the blocks of a gradient, a dict by parameter name, as one vector."""
    return torch.cat([block.reshape(-1) for block in gradient.values()])


def main() -> None:
    """Print cost, path and error of each estimator."""
    torch.manual_seed(0)
    model = Classifier().double().train()  # float64: differences in float32 keep half of its seven digits
    tokens, labels = torch.randint(0, 5, (6, 4)), torch.tensor([0, 1, 0, 1, 1, 0])
    exact = None
    print(f"{sum(p.numel() for p in model.parameters())} parameters, dropout in training mode")
    print(f"{'estimator':<12} {'cost':>12} {'path':>12} {'relative error':>15}")
    for name, options in ESTIMATORS.items():
        torch.manual_seed(1)  # where this estimate's mask is drawn from: the same for all, to compare them
        estimate = gradest.get_estimator(name, **options)(loss, model, tokens, labels, rng=0)
        gradient = flat(estimate.gradient)
        exact = gradient if exact is None else exact
        error = float((gradient - exact).norm() / exact.norm())
        print(f"{name:<12} {estimate.cost!s:>12} {estimate.path:>12} {error:>15.1e}")


if __name__ == "__main__":
    main()
