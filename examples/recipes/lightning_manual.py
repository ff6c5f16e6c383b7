"""Train a LightningModule by its manual optimisation, under any estimator; run by `make recipes`."""

import lightning
import torch

import gradest


class Fit(lightning.LightningModule):
    """A linear model whose gradients come from gradest and whose steps are Lightning's."""

    def __init__(self, method: str = "reverse") -> None:
        super().__init__()
        self.automatic_optimization = False
        self.net = torch.nn.Linear(3, 1)
        self.gradient_of = gradest.grad(lambda net, x, y: (net(x) - y).square().mean(), method=method)

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], index: int) -> None:
        """Write the gradient of a batch where the optimiser looks, and step."""
        gradest.assign(self.net, self.gradient_of(self.net, *batch, rng=self.global_step))
        self.optimizers().step()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimiser, as Lightning asks for it."""
        return torch.optim.SGD(self.parameters(), lr=0.1)


def main() -> None:
    """Fit exact data by the trainer, and by plain PyTorch from the same start; both end at the same weights."""
    torch.manual_seed(0)
    x = torch.randn(64, 3)
    batches = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, x @ torch.ones(3, 1)), batch_size=16)
    model = Fit()
    plain = torch.nn.Linear(3, 1)
    plain.load_state_dict(model.net.state_dict())
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    lightning.Trainer(max_epochs=5, accelerator="cpu", **quiet).fit(model, batches)
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1)
    for _ in range(5):
        for inputs, targets in batches:
            optimizer.zero_grad()
            (plain(inputs) - targets).square().mean().backward()
            optimizer.step()
    torch.testing.assert_close(model.net.state_dict(), plain.state_dict(), rtol=1e-5, atol=1e-6)
    distance = float((model.net.weight.detach() - 1).norm())
    print(f"distance to the exact weights {distance:.4f}; PyTorch's own loop agrees")


if __name__ == "__main__":
    main()
