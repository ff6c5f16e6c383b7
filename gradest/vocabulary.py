"""What people call things elsewhere: words of other libraries and papers, and the names that mean them here.

Tables for error messages alone: none of these words is accepted as a name. A word leads to registered names, or to a
remark where nothing here is meant by it, or to both. This module imports nothing of gradest.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple


class Meaning(NamedTuple):
    """What a word means here: registered names, a remark, and the words themselves, as `normal` writes them."""

    names: tuple[str, ...]
    remark: str
    words: tuple[str, ...]


def _means(names: str, words: str, remark: str = "") -> Meaning:
    return Meaning(tuple(names.split()), remark, tuple(words.split()))


_NO_ESTIMATOR = "it turns gradients into updates, and is no estimator of one: give it the gradient that one returns"

ESTIMATORS = (
    _means(
        "reverse",
        "backprop backpropagation backward-propagation error-backpropagation bp autograd grad gradient value-and-grad "
        "vjp jacrev pullback adjoint adjoint-mode reverse-mode reverse-ad reverse-mode-ad reverse-autodiff "
        "reverse-accumulation rev tape wengert-list backward-mode native jax torch pytorch mxnet",
    ),
    _means("reverse forward", "autodiff automatic auto ad aad automatic-differentiation algorithmic"),
    _means("reverse-checkpointed", "checkpoint checkpoints checkpointed checkpointing remat rematerialization revolve"),
    _means(
        "forward forward-gradient",
        "jvp jacfwd fwd pushforward forward-mode forward-ad forward-mode-ad forward-autodiff forward-accumulation dual "
        "dual-numbers tangent tangents tangent-linear",
    ),
    _means(
        "forward-gradient",
        "forward-gradients fgd directional directional-derivative directional-gradient random-jvp",
    ),
    _means(
        "fd-central",
        "numeric numeric-gradient numerical numerical-gradient numerical-differentiation numeric-differentiation "
        "num-grad numgrad numdiff numdifftools finite-diff finite-diffs fd fdm fda "
        "difference differences finite-difference finite-differences "
        "finite-differencing finite difference-quotient divided-differences central centered centred symmetric "
        "central-difference central-differences symmetric-difference symmetric-differences 3-point three-point "
        "gradcheck check-grad gradient-check eval-numerical-gradient",
    ),
    _means(
        "fd-forward",
        "forward-difference forward-differences one-sided 2-point two-point approx-fprime approx-derivative",
    ),
    _means("reverse fd-backward", "backward"),
    _means("fd-backward", "backward-difference backward-differences"),
    _means("fd-richardson", "richardson richardson-extrapolation extrapolation extrapolated ridders romberg"),
    _means("fd-five-point", "five-point 5-point five-point-stencil 5-point-stencil fourth-order order-4"),
    _means("fd-exact", "exact-differences exact-difference cancellation-free"),
    _means(
        "complex-step",
        "complex complex-differentiation complex-step-derivative complex-step-differentiation imaginary-step "
        "imaginary cs csd csda",
    ),
    _means(
        "es spsa",
        "evolution evolution-search evolution-strategy evolution-strategies evolutionary evolutionary-search "
        "evolutionary-strategy evolutionary-strategies "
        "es-antithetic antithetic antithetic-es mirrored mirrored-sampling gaussian-smoothing "
        "gaussian-smoothed randomized-smoothing random-gradient-free weight-perturbation random-perturbation "
        "random-search rge random-gradient-estimator black-box blackbox gradient-free derivative-free dfo",
    ),
    _means("es es-rank", "openai-es openaies nes natural-evolution-strategies natural-evolution-strategy xnes snes"),
    _means("es-forward", "directional-difference directional-differences directional-finite-difference"),
    _means("es-vanilla es-forward", "vanilla-es plain-es one-point one-sided-es"),
    _means("es-zscore es-sign", "ars augmented-random-search basic-random-search"),
    _means("es-leave-one-out", "loo leave-one-out rloo"),
    _means("es-rank", "rank ranks centered-rank centered-ranks rank-shaping fitness-shaping"),
    _means("es-sign", "sign signs sign-es"),
    _means("es-zscore", "zscore z-score standardized"),
    _means("es-orthogonal", "orthogonal orthogonal-es structured-es structured-exploration"),
    _means("es-sphere", "sphere spherical-smoothing sphere-smoothing unit-sphere"),
    _means("es-coordinates", "coordinate coordinates random-coordinate coordinate-descent"),
    _means("es-low-rank", "low-rank lowrank eggroll lora lozo"),
    _means("spsa", "simultaneous-perturbation simultaneous spsa2 mezo mezo-sgd rademacher bernoulli"),
    _means("spsa es fd-central", "zeroth-order zero-order zo zoo zo-sgd zosgd zeroth 0th-order"),
    _means("guided-es", "guided guided-evolution guided-evolution-strategies ges asebo"),
    _means("momentum-guided-es", "momentum-guided self-guided past-descent-directions past-directions"),
    _means("residual-feedback", "residual one-point-residual-feedback one-point-feedback zo-residual"),
    _means(
        "smoothed",
        "pathwise reparametrization reparameterization reparametrized reparameterized smooth smoothing "
        "smoothed-gradient randomized-gradient stochastic-smoothing",
    ),
    _means("node-perturbation", "node np-learning activity-perturbation activation-perturbation perturbation"),
    _means("es-row-space", "row-space rowspace input-space"),
    _means("analytic", "manual by-hand hand hand-derived hand-written closed closed-form symbolic sympy formula"),
    _means("analytic reverse fd-exact", "exact true exact-gradient true-gradient analytical ground-truth reference"),
    _means("null", "zero zeros nothing none control", "it returns zeros"),
    _means(
        "es guided-es",
        "cma cma-es cmaes covariance-matrix-adaptation sep-cma",
        "there is none: CMA-ES adapts a covariance of its own and gives no gradient",
    ),
    _means(
        "es",
        "reinforce score score-function likelihood-ratio policy-gradient log-derivative pepg pgpe",
        "there is none: a score-function estimator needs the density that the loss is an expectation over; that of a "
        "smoothed loss, whose density is known, is an evolution strategy",
    ),
    _means(
        "",
        "straight-through ste gumbel-softmax feedback-alignment direct-feedback-alignment equilibrium-propagation "
        "hebbian target-propagation simulated-annealing genetic genetic-algorithm pso particle-swarm nelder-mead",
        "there is none: it is no estimate of the loss's gradient",
    ),
    _means("", "sgd adam adamw rmsprop adagrad momentum lbfgs l-bfgs newton optimizer", _NO_ESTIMATOR),
    _means("", "hessian hvp hessian-vector-product jacobian", "there is none: estimators are of gradients"),
)

BACKENDS = (
    _means("torch", "pytorch py-torch torch.func functorch libtorch lightning aten torch-cpu"),
    _means("numpy", "np num-py ndarray scipy python plain"),
    _means("jax", "jnp jax.numpy jax-numpy jaxlib flax equinox haiku optax xla nnx"),
    _means("mxnet", "gluon mx mxnet-gluon incubator-mxnet apache-mxnet mxnet.gluon gluonnlp gluoncv"),
    _means(
        "numpy jax torch",
        "tensorflow tf tf2 keras theano chainer paddle paddlepaddle mindspore mlx tinygrad cupy dask oneflow "
        "autograd hips-autograd",
        "there is none of that name (gradest.Backend says what one needs)",
    ),
    _means("", "cpu gpu cuda cuda:0 rocm mps tpu metal", "it is a device: pass it as device="),
)

PROBLEMS = (
    _means(
        "mlp",
        "nn net network neural-network neural-net dnn perceptron multilayer-perceptron multi-layer-perceptron ffn",
    ),
    _means(
        "mlp softmax-regression",
        "mnist fashion-mnist digits iris mnist5k classification classifier",
        "it names a data set or a task: data sets are a field of problems, dataset=",
    ),
    _means(
        "softmax-regression",
        "softmax logistic logistic-regression logreg multinomial cross-entropy softmax-cross-entropy linear-classifier",
    ),
    _means("least-squares", "lsq lstsq ols linear linear-regression regression mse ridge squared-error"),
    _means("polynomial-regression", "polynomial poly polyfit vandermonde"),
    _means("quadratic", "sphere bowl parabola ellipsoid quad convex"),
    _means("rosenbrock", "banana rosen valley"),
    _means("logsumexp", "lse log-sum-exp"),
)

FIELDS = (
    _means(
        "num_samples",
        "n-samples samples sample-size num-sample nsamples n num population population-size pop-size popsize npop pop "
        "num-directions n-directions num-dirs num-pairs n-pairs num-perturbations n-perturbations perturbations "
        "directions num-queries queries k num-evals coordinates",
    ),
    _means("coordinates", "indices index num-coordinates n-coordinates num-samples subset"),
    _means(
        "sigma",
        "std stddev stdev standard-deviation scale sd noise noise-std noise-scale noise-level eps epsilon "
        "smoothing mu delta c radius smoothing-radius perturbation-scale perturbation temperature step step-size h",
    ),
    _means(
        "step",
        "eps epsilon h delta dx step-size stepsize step-length rel-step abs-step relative-step spacing increment "
        "perturbation fd-step finite-diff-rel-step sigma base-step",
    ),
    _means("step_mode", "relative absolute mode rel"),
    _means("antithetic", "mirrored mirror symmetric symmetrical paired pairs two-sided antithetic-sampling central"),
    _means("distribution", "dist law noise-type noise-distribution direction-law kind sampler direction-distribution"),
    _means("shaping", "fitness-shaping rank-shaping utility utilities rank-transform fitness centered-rank normalize"),
    _means("baseline", "control-variate subtract-mean center reference"),
    _means("rank", "r lora-rank low-rank"),
    _means("chunk_size", "batch-size chunksize chunk chunks vmap-size block-size microbatch batch"),
    _means("memory_budget_bytes", "memory max-memory memory-budget memory-limit budget"),
    _means("order", "accuracy acc degree points num-points stencil"),
    _means("levels", "num-levels steps num-steps order iterations"),
    _means("scheme", "side method direction"),
    _means("engine", "ad-engine autodiff mode"),
    _means("path", "structured mode"),
    _means("checkpoint", "checkpoints checkpointing remat num-checkpoints"),
    _means("guides", "surrogate surrogates surrogate-gradients subspace basis"),
    _means("alpha", "mix tradeoff"),
    _means("dataset", "data dataset-name"),
    _means("widths", "width hidden hidden-sizes hidden-size layers sizes hidden-layers hidden-dims hidden-dim"),
    _means("activation", "act nonlinearity activation-function act-fn"),
    _means("batch", "batch-size n-samples num-samples"),
    _means("bias", "biases use-bias"),
    _means("size", "n dim dims dimension dimensions num-parameters p d"),
    _means("condition", "cond condition-number kappa conditioning"),
    _means("seed", "rng random-state random-seed key"),
)
"""Fields of estimators and of problems; of the meanings of a word, those count that the thing has."""

ELSEWHERE = (
    _means(
        "",
        "rng seed key prng prng-key generator random-state random-seed rs",
        "random numbers are an argument of the call, not of the estimator: gradest.grad(f, method={name!r})(params, "
        "rng=0), or get_estimator({name!r})(f, params, rng=0)",
    ),
    _means(
        "",
        "lr learning-rate alpha-lr eta momentum beta betas beta1 beta2 weight-decay optimizer optim num-steps epochs "
        "num-epochs iterations max-iter",
        "it is not an estimator's: it belongs to the optimiser that takes the gradient",
    ),
    _means(
        "",
        "executor pool workers num-workers n-workers n-jobs jobs parallel processes threads max-workers",
        "workers are given when it is prepared: get_estimator({name!r}).prepare(objective, executor=...)",
    ),
    _means(
        "",
        "backend framework dtype precision device kernel population verify vectorized",
        "backend, dtype, device, kernel, population and verify are options of gradest.bind, of gradest.grad and of the "
        "estimator's call, not hyper-parameters",
    ),
    _means(
        "",
        "argnum argnums has-aux aux wrt",
        "argnums= (which argument) and has_aux= (f returns more than the loss) are options of gradest.grad and "
        "value_and_grad",
    ),
    _means(
        "",
        "params parameters x0 x theta args batch-args",
        "parameters and arguments are given to the call: (params, *args)",
    ),
)
"""Options of an estimator that people give it, and that belong elsewhere."""

OPTIMIZERS = (
    _means("sgd", "gd gradient descent stochastic-gradient-descent steepest-descent vanilla"),
    _means("heavy-ball", "momentum sgd-momentum polyak heavyball msgd"),
    _means("nesterov", "nag accelerated nesterov-momentum"),
    _means("adam", "adamw adamax amsgrad nadam radam", "of Adam's relatives there is Adam itself"),
    _means("line-search", "exact-line-search cauchy steepest"),
    _means("random-search", "random pure-random-search"),
    _means("iterative-refinement", "hill-climbing 1+1 1+1-es refinement local-search"),
)
OPTIMIZER_FIELDS = (
    _means("step_size scale", "lr learning-rate eta alpha s step stepsize"),
    _means("momentum beta1", "beta mu m mass decay"),
    _means("beta1 beta2", "betas b1 b2"),
    _means("epsilon", "eps e"),
    _means("scale", "sigma std a"),
)
DISTRIBUTIONS = (
    _means("normal", "gaussian gauss randn isotropic standard-normal n(0,1)"),
    _means("rademacher", "bernoulli sign signs binary plus-minus-one radamacher spsa pm1 +-1"),
    _means("sphere", "spherical unit-sphere hypersphere unit-vectors uniform-sphere"),
    _means("orthogonal", "orthonormal qr haar stiefel orthogonal-gaussian structured"),
    _means("coordinates", "coordinate basis canonical one-hot axis axes"),
    _means("low-rank", "lowrank eggroll lora rank-1 rank-one matrix"),
    _means("uniform", "box cube unif"),
)
BASELINES = (
    _means("leave-one-out", "loo rloo leave-out jackknife unbiased-mean"),
    _means("mean", "average avg batch-mean population-mean"),
    _means("value", "f f(x) fx center centre current point loss forward"),
    _means("none", "no null zero off false antithetic"),
)
SHAPINGS = (
    _means("centered-rank", "rank ranks centered-ranks centred-rank centred-ranks ranking rank-based openai nes"),
    _means("z-score", "zscore standardize standardise standardized normalize normalise normalized whiten whitening"),
    _means("sign", "signs signum"),
)
SCHEMES = (
    _means("central", "centered centred center centre symmetric two-sided 3-point three-point both"),
    _means("forward", "one-sided 2-point two-point right"),
    _means("backward", "backwards left"),
)
ACTIVATIONS = (
    _means("sigmoid", "logistic expit sigm"),
    _means("relu", "rectifier rectified-linear hinge ramp re-lu"),
    _means("requ", "relu2 relu-squared squared-relu sqrelu"),
    _means("softplus", "soft-plus smooth-relu"),
    _means("tanh", "hyperbolic-tangent tanhf hard-tanh"),
    _means("softplus relu", "gelu silu swish elu selu leaky-relu mish prelu celu", "there is none of that name"),
    _means("", "linear identity none id", "for a linear model pass widths=()"),
)

TABLES: Mapping[str, tuple[Meaning, ...]] = {
    "estimator": ESTIMATORS,
    "backend": BACKENDS,
    "problem": PROBLEMS,
    "field of estimator": FIELDS,
    "field of problem": FIELDS,
    "optimizer": OPTIMIZERS,
    "field of optimizer": OPTIMIZER_FIELDS,
    "distribution of directions": DISTRIBUTIONS,
    "baseline": BASELINES,
    "fitness shaping": SHAPINGS,
    "difference scheme": SCHEMES,
    "activation": ACTIVATIONS,
}
"""What kind of name was asked for, as error messages call it -> its words."""

_ENDINGS = ("-gradient-estimator", "-gradients", "-gradient", "-estimator", "-estimation", "-method", "-mode", "-grad")
_LEAST_LETTERS = 5  # a shorter word is within one letter of too many others to be taken for a misspelling
_WORD_CUTOFF, _NAME_CUTOFF = 0.8, 0.5


def normal(word: str) -> str:
    """Return a word in lower case, with hyphens for blanks and underscores."""
    return "-".join(word.strip().lower().replace("_", " ").replace("-", " ").split())


def hint(kind: str, word: str, known: Iterable[str]) -> str:
    """Return what a word may mean among the known names, as a sentence that ends in a blank; empty where none is near.

    Parameters
    ----------
    kind
        What was asked for, such as "estimator" or "field of estimator 'es'".
    known
        The names that there are; no other is ever named.

    Examples
    --------
    >>> from gradest.vocabulary import hint
    >>> hint("estimator", "backprop", ["reverse", "fd-backward"])
    "did you mean 'reverse'? "
    """
    names = sorted(known)
    bare, _, owner = kind.partition(" '")
    table = TABLES.get(bare, ())
    asked = normal(word)
    for said in (asked, *(asked.removesuffix(ending) for ending in _ENDINGS if asked.endswith(ending))):
        same = [name for name in names if _compact(name) == _compact(said)]
        found = _question(same) if same else _read(table, said, names)
        if found:
            return found
        moved = next((row for row in ELSEWHERE if said in row.words), None)
        if moved is not None and bare == "field of estimator":
            return moved.remark.format(name=owner.rstrip("'")) + ". "
    if "(" in word and bare in ("estimator", "problem"):  # as the command line, and no function, reads them
        plain = word.partition("(")[0].strip()
        return f"in Python fields are given apart, as by gradest.get_{bare}({plain!r}, FIELD=VALUE). "
    if "." in word and bare in ("estimator", "backend", "problem"):
        return f"for a class of a module write '{word}:Class'. "
    return _nearest(table, asked, names)


def _read(table: Iterable[Meaning], asked: str, names: Sequence[str]) -> str:
    """Return the sentence for a word that the table has, with or without its hyphens; empty where it has none."""
    rows = [row for row in table if any(_compact(w) == _compact(asked) for w in row.words)]
    there = [name for row in rows for name in row.names if name in names]
    remark = next((row.remark for row in rows if row.remark), "")
    if not remark:
        return _question(there) if there else ""
    return f"{remark}; see {_listed(there)}. " if there else f"{remark}. "


def _nearest(table: Iterable[Meaning], asked: str, names: Sequence[str]) -> str:
    """Return the sentence for a misspelt word: of a name, or of a word that leads to one; empty where none is near."""
    registered = {normal(name): name for name in names}
    words = [word for row in table for word in row.words if len(word) >= _LEAST_LETTERS]
    best = difflib.get_close_matches(asked, [*registered, *words], n=1, cutoff=_WORD_CUTOFF)
    if best and best[0] not in registered and (found := _read(table, best[0], names)):
        return found
    near = difflib.get_close_matches(asked, list(registered), n=3, cutoff=_NAME_CUTOFF)
    return _question([registered[name] for name in near]) if near else ""


def _compact(word: str) -> str:
    return normal(word).replace("-", "")


def _question(names: Iterable[str]) -> str:
    return f"did you mean {_listed(names)}? "


def _listed(names: Iterable[str]) -> str:
    return " or ".join(map(repr, dict.fromkeys(names)))
