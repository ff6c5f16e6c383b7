"""Predicted error of evolution strategies: function values at x + sigma v, with every baseline.

Exact for quadratic f where the curvature is given, else for linear f. This module must not know how
directions are drawn or losses evaluated.

Notation: P parameters, N directions v, q = v^T H v, c the excess of the law.
"""

from dataclasses import dataclass

from gradest.directions.laws import law_of
from gradest.errors import InvalidInputError, UnsupportedError
from gradest.real_numbers import real_number
from gradest.theory.curvature import curvature_moments
from gradest.theory.direction_only import linear_cosine, require_baseline
from gradest.theory.moments import linear_part, marginal, mean_excess, orthogonal_pairs
from gradest.theory.prediction import LINEAR, QUADRATIC, SMOOTHED_GRADIENT, LocalModel, Prediction
from gradest.whole_numbers import whole_number

_ONE_SIDED_SOURCE = "derived: moments to order six of a sign-symmetric law; Wishart moments for the centred baselines"


@dataclass(frozen=True, kw_only=True)
class _Sampling:
    """What is drawn: N directions of a law in P dimensions, with the excess of the law.

    The radius is 1: at another the model is that of `LocalModel.at_radius`.
    """

    distribution: str
    num_parameters: int
    num_samples: int
    excess: float

    def __post_init__(self) -> None:
        whole_number("num_parameters", self.num_parameters)
        whole_number("num_samples", self.num_samples)


def _known_value(model: LocalModel) -> float:
    if model.value is None:
        raise InvalidInputError("without a baseline the variance depends on f(x); give LocalModel(value=...)")
    return model.value


def _uncentred(baseline: str, sampling: _Sampling, model: LocalModel) -> float:
    """Return the relative MSE of (1/N) sum_i (f_i - b) v_i with b = 0 ("none") or f(x) ("value"), |g| = 1."""
    q = curvature_moments(marginal(sampling.distribution), sampling.num_parameters, model)
    extra = q.squared_weighted / 4
    if baseline == "none":
        # f(x) v / sigma has mean zero and is pure scatter: it grows without bound as sigma shrinks.
        value = _known_value(model)
        extra += sampling.num_parameters * value * value
        extra += value * q.weighted if q.weighted else 0.0  # the value in units of a tiny radius may be infinite
    return linear_part(
        sampling.distribution,
        num_parameters=sampling.num_parameters,
        num_samples=sampling.num_samples,
        excess=sampling.excess + extra,
    )


def _leave_one_out(sampling: _Sampling, model: LocalModel) -> float:
    """Return the relative MSE of sum_i (f_i - f_mean) v_i / (N - 1), for a model in which |g| = 1.

    Formula: (P+c)/N + P/(N(N-1)) - 1 + (N(N-1) - pairs) ((N-1)^2 + 1) / (N(N-1))^2, plus, for curvature,
    1/4 (A / N + B P / (N(N-1))) with A = E[(q - tr H)^2 |v|^2], B = Var q.
    """
    parameters, samples = sampling.num_parameters, sampling.num_samples
    whole_number("num_samples", samples, least=2)  # a value is compared with the others
    # Written out, the estimate is (1/N) sum_i (g.v_i) v_i less (1/(N(N-1))) sum_{i != j} (g.v_j) v_i. The second sum
    # scatters by P / (N(N-1)); E (g.v_i)(g.v_j) v_i.v_j enters both squares, and is 0 for pairs that are orthogonal.
    ordered = samples * (samples - 1)
    free = ordered - orthogonal_pairs(sampling.distribution, num_parameters=parameters, num_samples=samples)
    linear = (parameters + sampling.excess) / samples + parameters / ordered - 1
    linear += free * ((samples - 1) ** 2 + 1) / ordered**2
    if model.hessian_trace is None:
        return linear
    if law_of(sampling.distribution).frame_of is not None:
        raise UnsupportedError(
            f"the curvature term of a centred baseline is not derived for distribution {sampling.distribution!r}; "
            "leave the Hessian out for the linear part, or use baseline='antithetic'"
        )
    # Only q's departure from its mean tr H matters here: the baseline takes out what all directions share.
    q, trace = curvature_moments(sampling.distribution, parameters, model), model.hessian_trace
    weighted = q.squared_weighted - 2 * trace * q.weighted + parameters * trace * trace
    variance = q.squared - trace * trace
    curvature = weighted / samples + variance * parameters / ordered
    return linear + curvature / 4


def evaluation_noise_mse(baseline: str, *, num_parameters: int, num_samples: int, sigma: float, noise: float) -> float:
    """Return the mean squared error that noise in the evaluations adds to an evolution strategy's estimate.

    Every evaluation has independent noise of standard deviation `noise` (s). The result is an absolute squared error,
    in the units of |g|^2; divide by |g|^2 for a relative one.

    Formula: P s^2 / (N sigma^2) times 1/2 (antithetic), 1 (none), 2 (value, one noisy baseline shared by all
    directions), N / (N - 1) (leave-one-out), (N - 1) / N (mean). Exact for any f and any law with E v = 0,
    antithetic for any law.

    Source: derived.

    Examples
    --------
    >>> from gradest import theory
    >>> round(theory.evaluation_noise_mse("antithetic", num_parameters=100, num_samples=50, sigma=0.1, noise=0.01), 6)
    0.01
    """
    require_baseline(baseline)
    whole_number("num_parameters", num_parameters)
    whole_number("num_samples", num_samples)
    sigma = real_number("sigma", sigma, "(0, inf)", example=0.1)
    noise = real_number("noise", noise, "[0, inf)", example=0.01)
    ratio = noise / sigma  # squared by itself: the squares of both may leave float64's range
    base = num_parameters * ratio * ratio / num_samples
    if baseline == "leave-one-out":
        whole_number("num_samples", num_samples, least=2)
        return base * num_samples / (num_samples - 1)
    if baseline == "mean":
        return base * (num_samples - 1) / num_samples
    return base * {"antithetic": 0.5, "none": 1.0, "value": 2.0}[baseline]


def _require_predictable(distribution: str, baseline: str, model: LocalModel | None, noise: float) -> None:
    """Refuse unknown names, a missing |g|, and sqrt(P) e_j, whose mean is not zero, where E v = 0 is used."""
    real_number("noise", noise, "[0, inf)", example=0.01)
    require_baseline(baseline)
    if model is None and (noise or baseline == "none"):
        raise InvalidInputError("noise and a missing baseline are measured against |g|; give model=LocalModel(...)")
    linear_value = baseline == "value" and noise == 0 and (model is None or not model.curved)
    if not law_of(distribution).centred and baseline != "antithetic" and not linear_value:
        raise UnsupportedError(
            f"distribution {distribution!r} is not symmetric under v -> -v, so baseline {baseline!r} is biased or "
            "its error not derived; use baseline='antithetic', or 'value' without Hessian and noise"
        )


def _noiseless(baseline: str, sampling: _Sampling, model: LocalModel) -> float:
    """Return the relative MSE for exact evaluations."""
    if baseline == "antithetic":
        return linear_part(
            sampling.distribution,
            num_parameters=sampling.num_parameters,
            num_samples=sampling.num_samples,
            excess=sampling.excess,
        )
    if baseline not in ("leave-one-out", "mean"):
        return _uncentred(baseline, sampling, model)
    mse = _leave_one_out(sampling, model)
    # The mean baseline is (1 - 1/N) times leave-one-out: a shrunk, biased estimator.
    keep = 1 - 1 / sampling.num_samples if baseline == "mean" else 1.0
    return keep**2 * mse + (1 - keep) ** 2


def relative_mse_es(
    distribution: str,
    *,
    baseline: str,
    num_parameters: int,
    num_samples: int,
    sigma: float,
    model: LocalModel | None = None,
    noise: float = 0.0,
    direction_excess: float | None = None,
) -> Prediction:
    """Predict the relative MSE of an evolution strategy with N directions at radius sigma.

    Formula (normal): antithetic (P+1)/N; value [(P+1)|g|^2 + sigma^2/4 (P+4)((tr H)^2 + 2|H|_F^2)]/(N|g|^2);
    none adds [P f0^2/sigma^2 + f0 (P+2) tr H]/(N|g|^2); leave-one-out (P+1)/(N-1) for linear f; mean
    (1-1/N)^2 leave-one-out + 1/N^2. Other laws: `relative_mse_linear` and moments to order six.

    Parameters
    ----------
    baseline
        "antithetic" (N pairs), "none", "value" (f(x)), "leave-one-out", "mean" (the 1/N form).
    sigma
        Smoothing radius, in units of the parameters.
    model
        |g|, f(x) and curvature at the point. Without curvature the linear part is predicted, and `exact_for` of the
        result says so.
    noise
        Standard deviation of independent additive noise of one evaluation, in units of f.
    direction_excess
        c of the law, from `mean_excess`; only "low-rank" needs it.

    Raises
    ------
    UnsupportedError
        The term asked for is not derived for this law.

    Source: derived; Salimans et al. 2017, arXiv:1703.03864, and Nesterov & Spokoiny 2017,
    doi:10.1007/s10208-015-9296-2, define the estimators.

    Examples
    --------
    >>> from gradest import theory
    >>> pairs = {"baseline": "antithetic", "num_samples": 50, "sigma": 0.1}
    >>> predicted = theory.relative_mse_es("normal", num_parameters=99, **pairs)
    >>> predicted.relative_mse, predicted.exact_for
    (2.0, 'quadratic f')
    """
    _require_predictable(distribution, baseline, model, noise)
    sigma = real_number("sigma", sigma, "(0, inf)", example=0.1)
    sampling = _Sampling(
        distribution=distribution,
        num_parameters=num_parameters,
        num_samples=num_samples,
        excess=mean_excess(distribution) if direction_excess is None else direction_excess,
    )
    # Without a model nothing below depends on |g|: the linear part is relative to it already.
    local = LocalModel(gradient_norm=1.0) if model is None else model
    mse = _noiseless(baseline, sampling, local.at_radius(sigma))
    if noise:
        relative = noise / local.gradient_norm
        mse += evaluation_noise_mse(
            baseline, num_parameters=num_parameters, num_samples=num_samples, sigma=sigma, noise=relative
        )
    return Prediction(
        target=SMOOTHED_GRADIENT,
        relative_mse=mse,
        exact_for=QUADRATIC if baseline == "antithetic" or local.curved else LINEAR,
        bias_order=smoothing_bias_order(distribution, baseline=baseline),
        source="derived: fourth moments of the directions" if baseline == "antithetic" else _ONE_SIDED_SOURCE,
        cosine=None
        if noise or (local.curved and baseline != "antithetic")
        else linear_cosine(distribution, baseline=baseline, num_parameters=num_parameters, num_samples=num_samples),
    )


def smoothing_bias_order(distribution: str, *, baseline: str) -> int:
    """Return the power of sigma with which an evolution strategy's bias against the gradient vanishes.

    It is 2 for most, 0 for the mean baseline (whose factor 1 - 1/N stays whatever sigma is), and 1 for one-sided
    differences along coordinates, whose first-order error no symmetry cancels. Exact for three times differentiable
    f. Source: derived, Taylor expansion and odd moments.

    Examples
    --------
    >>> from gradest import theory
    >>> [theory.smoothing_bias_order("normal", baseline=baseline) for baseline in ("antithetic", "mean")]
    [2, 0]
    """
    require_baseline(baseline)
    if baseline == "mean":
        return 0
    return 1 if not law_of(distribution).centred and baseline != "antithetic" else 2
