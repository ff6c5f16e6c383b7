"""The MXNet Gluon backend of gradest: hybridized losses, autograd, and a Gluon `Block` as parameters.

Importing this package does not import MXNet; asking for `MxnetBackend` does.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradest_mxnet.backend import MxnetBackend

__all__ = ["MxnetBackend"]


def __getattr__(name: str) -> Any:
    if name != "MxnetBackend":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from gradest_mxnet.backend import MxnetBackend

    return MxnetBackend
