"""A backend for any namespace of the Python array API standard; a subclass names it, and is a backend of its own."""

from gradest_array_api.backend import ArrayApiBackend
from gradest_array_api.operations import ArrayApiOperations

__all__ = ["ArrayApiBackend", "ArrayApiOperations"]
