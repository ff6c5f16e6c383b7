"""The MXNet Gluon backend of gradest: hybridized losses, autograd, and a Gluon `Block` as parameters.

Importing this package does not import MXNet; asking for `MxnetBackend` or for `mx` does. `from gradest_mxnet import mx`
is the way to MXNet itself: beside a NumPy that it was not written for (1.24 or newer) `import mxnet` fails, unless it
has been imported so before.

Examples
--------
>>> from gradest_mxnet import mx
>>> mx.np.ones(2).sum().item()
2.0
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradest_mxnet.backend import MxnetBackend
    from gradest_mxnet.framework import mx

__all__ = ["MxnetBackend", "mx"]


def __getattr__(name: str) -> Any:
    if name == "mx":
        from gradest_mxnet.framework import mx

        return mx
    if name != "MxnetBackend":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from gradest_mxnet.backend import MxnetBackend

    return MxnetBackend
