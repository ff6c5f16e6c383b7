"""A network of PyTorch, as it is, under several estimators: which gradient, how right, at what cost.

    python examples/compare_torch.py
    gradest compare examples/compare_torch.py:case --estimators 'reverse,es(sigma=0.1),spsa' --plot errors.png

`case` is all that gradest asks for: the loss, the module, the batch. The module is in evaluation mode: dropout passes
everything on, batch normalisation uses its running means. In training mode the same call compares one draw of the
dropout, and says so.

The reference is reverse mode in double precision, on a copy of the module, compared with forward mode and with values
of the loss; so the rounding of single precision is seen in every row, and a wrong `backward` of your own would be, too.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import gradest

ESTIMATORS = ("reverse", "forward", "fd-central", "es", "spsa", "forward-gradient")


def loss(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy of a batch."""
    return cross_entropy(network(images), labels)


def case() -> gradest.Case:
    """Return the loss with a small convolutional network and a batch of 8 images of 8 x 8."""
    with torch.random.fork_rng():  # whoever asks for a case finds their own random state as it was
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv2d(1, 3, kernel_size=3),
            nn.BatchNorm2d(3),
            nn.GELU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(27, 4),
        )
        images, labels = torch.randn(8, 1, 8, 8), torch.randint(0, 4, (8,))
        network(images)  # gives batch normalisation its running means
    return gradest.Case(loss, network.eval(), (images, labels))


if __name__ == "__main__":
    print(gradest.compare(case(), estimators=ESTIMATORS, budget_seconds=0.05))
