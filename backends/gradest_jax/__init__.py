"""The JAX backend of gradest."""
