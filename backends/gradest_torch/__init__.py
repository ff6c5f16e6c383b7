"""The PyTorch backend of gradest."""
