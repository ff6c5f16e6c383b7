"""The JAX backend of gradest: jitted arrays and operations, and JAX's own transformations."""

from gradest_jax.backend import JaxBackend

__all__ = ["JaxBackend"]
