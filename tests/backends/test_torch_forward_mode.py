"""Forward mode through PyTorch's own layers: right where it has a rule of any kind, else refused by name."""

import copy
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.imports import ROOT

import gradest
from gradest import UnsupportedError

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
nn = torch.nn
Loss = Callable[[Any, Any], Any]


def first(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) else value


def plain(module: Any, x: Any) -> Any:
    return (first(module(x)) ** 2).mean()


def attends(module: Any, x: Any) -> Any:
    return (module(x, x, x, need_weights=False)[0] ** 2).mean()


def weighs(module: Any, x: Any) -> Any:
    return (module(x, x, x)[1] ** 2).mean()


def masks(module: Any, x: Any) -> Any:
    mask = torch.triu(torch.full((x.shape[1], x.shape[1]), float("-inf"), dtype=x.dtype), 1)
    return (module(x, src_mask=mask) ** 2).mean()


def products(module: Any, x: Any) -> Any:
    q, k, v = module(x).chunk(3, dim=-1)
    return (nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True) ** 2).mean()


def aligned(module: Any, x: Any) -> Any:
    scores = module(x).log_softmax(-1).transpose(0, 1)
    batch = x.shape[0]
    return nn.functional.ctc_loss(
        scores, torch.ones(batch, 2, dtype=torch.long), torch.full((batch,), x.shape[1]), torch.full((batch,), 2)
    )


def encoder(**options: Any) -> Any:
    return nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0, batch_first=True, **options)


RIGHT: dict[str, tuple[Callable[[], Any], Loss]] = {
    "scaled_dot_product_attention": (lambda: nn.Linear(4, 12), products),
    "MultiheadAttention": (lambda: nn.MultiheadAttention(4, 2, batch_first=True), attends),
    "MultiheadAttention, weights": (lambda: nn.MultiheadAttention(4, 2, batch_first=True), weighs),
    "TransformerEncoderLayer": (encoder, plain),
    "TransformerEncoderLayer, eval": (lambda: encoder().eval(), plain),
    "TransformerEncoderLayer, masked": (lambda: encoder(norm_first=True), masks),
    "LSTM": (lambda: nn.LSTM(4, 3, batch_first=True), plain),
    "Bilinear": (lambda: nn.Bilinear(4, 4, 3), lambda m, x: (m(x, x.sin()) ** 2).mean()),
    "GRU": (lambda: nn.GRU(4, 3, batch_first=True), plain),
    "RNN": (lambda: nn.RNN(4, 3, batch_first=True), plain),
    "channels last": (
        lambda: nn.Sequential(nn.Conv2d(2, 4, 3, groups=2), nn.GroupNorm(2, 4)).to(memory_format=torch.channels_last),
        lambda m, x: plain(m, x.new_tensor(range(2 * 2 * 5 * 5)).reshape(2, 2, 5, 5).sin()),
    ),
    "spectral_norm": (lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(4, 3)).eval(), plain),
    "weight_norm": (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)), plain),
    "a function with a rule and ctx": (lambda: nn.Linear(4, 3), lambda m, x: _Cubed.apply(m(x)).mean()),
    "NumPy inside": (lambda: nn.Linear(4, 3), lambda m, x: plain(m, x) * float(m.bias.detach().numpy().sum())),
    "a number read": (lambda: nn.Linear(4, 3), lambda m, x: plain(m, x) * plain(m, x).item()),
    "a branch on values": (lambda: nn.Linear(4, 3), lambda m, x: plain(m, x) if plain(m, x) > 0 else m.bias.sum()),
}
REFUSED: dict[str, tuple[Callable[[], Any], Loss]] = {
    "ctc_loss": (lambda: nn.Linear(4, 3), aligned),
    "a function without a rule": (lambda: nn.Linear(4, 3), lambda m, x: _Squared.apply(m(x)).mean()),
}


class _Squared(torch.autograd.Function):  # type: ignore[misc, name-defined]  # PyTorch may be missing
    """A function of somebody's, written for reverse mode alone."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, slope: Any) -> Any:
        return 2 * ctx.saved_tensors[0] * slope


class _Cubed(torch.autograd.Function):  # type: ignore[misc, name-defined]  # PyTorch may be missing
    """A function with a rule of forward mode in the old style, which `torch.func` does not take."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)
        return x * x * x

    @staticmethod
    def backward(ctx: Any, slope: Any) -> Any:
        return 3 * ctx.saved_tensors[0] ** 2 * slope

    @staticmethod
    def jvp(ctx: Any, tangent: Any) -> Any:
        return 3 * ctx.saved_tensors[0] ** 2 * tangent


def made(make: Callable[[], Any], dtype: Any) -> tuple[Any, Any]:
    torch.manual_seed(3)
    return make().to(dtype), torch.randn(2, 3, 4, dtype=dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("layer", RIGHT)
def test_forward_mode_is_reverse_mode(layer: str, dtype: str) -> None:
    make, loss = RIGHT[layer]
    module, x = made(make, getattr(torch, dtype))
    exact = torch.autograd.grad(loss(module, x), tuple(module.parameters()), allow_unused=True)
    found = gradest.grad(loss, method="forward")(module, x)
    for (name, parameter), slope in zip(module.named_parameters(), exact, strict=True):
        expected = torch.zeros_like(parameter) if slope is None else slope
        tolerance = 1e-9 if dtype == "float64" else 1e-4
        np.testing.assert_allclose(found[name], expected, rtol=tolerance, atol=tolerance / 10, err_msg=name)
    sampled = gradest.grad(loss, method="forward-gradient", num_samples=2)(module, x, rng=0)
    assert all(bool(torch.isfinite(block).all()) for block in sampled.values())


@pytest.mark.parametrize("method", ["forward", "forward-gradient"])
@pytest.mark.parametrize("layer", REFUSED)
def test_what_pytorch_has_no_rule_for_is_refused_with_what_can_be_used(layer: str, method: str) -> None:
    make, loss = REFUSED[layer]
    module, x = made(make, torch.float32)
    with pytest.raises(UnsupportedError, match=r"forward mode.*cannot carry it.*'reverse'.*'fd-central'") as caught:
        gradest.grad(loss, method=method)(module, x)
    assert caught.value.__cause__ is not None
    assert "issue" not in str(caught.value)  # PyTorch asks to file one
    assert gradest.grad(loss, method="reverse")(module, x)


def test_what_writes_into_its_arguments_is_refused_and_leaves_them() -> None:
    """Batched, it is refused by PyTorch; one direction at a time it would write into the user's data."""
    data = torch.ones(3)

    def loss(p: Any, x: Any) -> Any:
        x += 1
        return (_Cubed.apply(p) * x).sum()

    with pytest.raises(gradest.InvalidInputError, match=r"writes into its parameters or arguments"):
        gradest.grad(loss, method="forward")(torch.ones(3), data)
    assert data.tolist() == [1.0, 1.0, 1.0]


def test_the_functions_own_errors_are_seen_as_they_are() -> None:
    for own in (RuntimeError("no convergence"), NotImplementedError("later"), ValueError("bad batch"), KeyError("k")):

        def loss(x: Any, own: Exception = own) -> Any:
            raise own

        with pytest.raises(type(own)) as caught:
            gradest.grad(loss, method="forward")(torch.ones(2))
        assert caught.value is own


def test_settings_of_attention_are_as_they_were_in_every_thread() -> None:
    module, x = made(RIGHT["MultiheadAttention"][0], torch.float64)
    before = torch.backends.cuda.flash_sdp_enabled(), torch.backends.mha.get_fastpath_enabled()
    exact = gradest.grad(attends)(module, x)["in_proj_weight"]
    found: list[Any] = []

    def work() -> None:
        own = copy.deepcopy(module)  # `functional_call` swaps a module's tensors in place: one for each thread
        found.append(gradest.grad(attends, method="forward")(own, x)["in_proj_weight"])

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    for one in found:
        np.testing.assert_allclose(one, exact, rtol=1e-9, atol=1e-12)
    assert before == (torch.backends.cuda.flash_sdp_enabled(), torch.backends.mha.get_fastpath_enabled())


def test_the_first_forward_mode_of_a_process_warns_of_nothing() -> None:
    code = (
        "import warnings; warnings.simplefilter('error'); import torch, gradest\n"
        "for method in ('forward', 'forward-gradient'):\n"
        "    gradest.grad(lambda p: (p.softmax(0) * p).sum().exp(), method=method)(torch.ones(3))\n"
        "print('quiet')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout.strip() == "quiet", done.stderr
