"""Attention by plain operations, whoever asks: the value of a loss, reverse mode or forward mode.

In evaluation mode, and where nothing is recorded, PyTorch's transformer layers take a fused path (2.4 to 2.13). Places
of padding come out as 0 there, so that a loss which looks at them has another value than what is differentiated;
and forward mode has no rule for it.
"""

from threading import Lock

import torch
from torch import nn

FUSED = (nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerEncoder)
"""The layers that have a fused path."""


class _Switch:
    """The switch of the fused path, one for the process, and how many are inside a context without it."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.inside = 0
        self.was_on = True


_SWITCH = _Switch()


class PlainAttention:
    """A context without the fused path; the last to leave puts the switch back."""

    def __enter__(self) -> None:
        switch = _SWITCH
        with switch.lock:
            if not switch.inside:
                switch.was_on = torch.backends.mha.get_fastpath_enabled()
                if switch.was_on:
                    torch.backends.mha.set_fastpath_enabled(False)
            switch.inside += 1

    def __exit__(self, *raised: object) -> None:
        switch = _SWITCH
        with switch.lock:
            switch.inside -= 1
            if not switch.inside and switch.was_on:
                torch.backends.mha.set_fastpath_enabled(True)
