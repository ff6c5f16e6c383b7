"""The PyTorch backend of gradest: eager tensors, autograd, `torch.func`, and `nn.Module` as parameters."""

from gradest_torch.backend import TorchBackend

__all__ = ["TorchBackend"]
