"""Which values of the keys of toy models fit together. Imports the standard library only."""

from __future__ import annotations

import math
from typing import Any

from superpos.config.rules import Rules
from superpos.config.schema import MAX_SCALE, TrainConfig
from superpos.families.tms.keys import (
    DEFAULT_SPARSITY,
    MIN_DENSITY,
    NEGATIVE_VALUES,
    DataConfig,
    ImportanceConfig,
    ModelConfig,
    complement,
    corners,
)
from superpos.family import Rule
from superpos.maths.trees import nodes, sums

_DATA = DataConfig()
_MODEL = ModelConfig()
_IMPORTANCE = ImportanceConfig()
_TRAIN = TrainConfig()
_ROUNDING = 1e-12
_WITHOUT_SETS = ("none", "tree", "exactly")


def _one_of_both(sparsity: Any, density: Any) -> str | None:
    if sparsity is not None and density is not None:
        return (
            "data.density: given beside data.sparsity; they are the same quantity (density = 1 - "
            "sparsity): give one"
        )
    return None


def _length_of(key: str) -> Rule:
    def rule(value: Any, n_features: int) -> str | None:
        if isinstance(value, tuple) and len(value) != n_features:
            return (
                f"{key}: a list of {len(value)}; allowed: {n_features} numbers, one a feature "
                "(model.n_features)"
            )
        return None

    return rule


def _densities(sparsity: Any, density: Any) -> float | tuple[float, ...] | None:
    """The density where it is given; a list stays one."""
    if density is not None or sparsity is None:
        return density  # type: ignore[no-any-return]  # canonical values are numbers or tuples
    return tuple(map(complement, sparsity)) if isinstance(sparsity, tuple) else complement(sparsity)


def _density_of_last(sparsity: Any, density: Any, last: float) -> str | None:
    given = _densities(sparsity, density)
    if isinstance(given, tuple):
        if last != _DATA.last:
            return (
                f"data.last: {last:g} beside a list of n; put the last feature's value in the list"
            )
        return None if min(given) >= MIN_DENSITY else _too_rare(min(given))
    density = complement(DEFAULT_SPARSITY) if given is None else given
    value = density * last
    if value > 1 + _ROUNDING:
        return (
            f"data.last: {last:g} times density {density:g} is {value:g}; allowed: a density of at "
            "most 1"
        )
    return None if value >= MIN_DENSITY else _too_rare(value)


def _too_rare(density: float) -> str:
    return (
        f"data.density: a feature has density {density:g}; allowed: at least 2^-32, the resolution "
        "of the draws"
    )


def _sets(correlation: str, set_size: int, n_features: int) -> str | None:
    if correlation == "none" and set_size != 1:
        return f"data.set_size: {set_size} without sets; set data.correlation, or leave it 1"
    if correlation in _WITHOUT_SETS and set_size != 1:
        return f"data.set_size: {set_size} with data.correlation={correlation}; leave it 1"
    if correlation in _WITHOUT_SETS:
        return None
    if correlation == "pairs" and set_size != 2:
        return f"data.set_size: {set_size} with data.correlation=pairs; allowed: 2"
    if set_size < 2:
        return (
            f"data.set_size: {set_size} with data.correlation={correlation}; allowed: 2 or more "
            "features in a set"
        )
    if n_features % set_size:
        return f"data.set_size: {set_size} does not divide model.n_features={n_features}"
    return None


def _one_density_a_set(
    correlation: str, set_size: int, sparsity: Any, density: Any, last: float
) -> str | None:
    if correlation == "none":
        return None
    if last != _DATA.last:
        return (
            f"data.last: {last:g} with data.correlation={correlation}; the features of a set share "
            "one density"
        )
    key, given = ("data.sparsity", sparsity) if density is None else ("data.density", density)
    sets = (
        [given[i : i + set_size] for i in range(0, len(given), set_size)]
        if isinstance(given, tuple)
        else []
    )
    if any(len(set(members)) > 1 for members in sets):
        return (
            f"{key}: differs within a set of {set_size}; allowed: one value for all features of a "
            "set"
        )
    return None


def _importance(decay: float, last: float, values: Any) -> str | None:
    given = (("decay", decay), ("last", last))
    beside = [
        f"importance.{name}={value:g}"
        for name, value in given
        if value != getattr(_IMPORTANCE, name)
    ]
    if values is None or not beside:
        return None
    return (
        f"importance.values: a list beside {' and '.join(beside)}; it says every importance: set "
        "them to 1"
    )


def _greatest_importance(decay: float, last: float, n_features: int) -> str | None:
    steepness = math.log10(max(decay, 1.0))
    limit = math.log10(MAX_SCALE)
    greatest = steepness * (n_features - 1) + math.log10(max(last, 1e-300))
    if max(greatest, steepness * (n_features - 2)) <= limit + _ROUNDING:
        return None
    return (
        f"importance.decay: {decay:g} over {n_features} features times importance.last={last:g} is "
        f"above {MAX_SCALE:g},"
        " too large for single precision"
    )


def _target(target: str, tied: bool, hidden: str, signed: bool, values: str) -> str | None:
    if target != "abs":
        return None
    negative = signed or values in NEGATIVE_VALUES
    wanted = (
        (tied, "model.tied=false"),
        (hidden != "relu", "model.hidden=relu"),
        (not negative, "data.signed=true, as |x| = x otherwise"),
    )
    missing = [fix for wrong, fix in wanted if wrong]
    return f"model.target: abs needs {', '.join(missing)}" if missing else None


def _rectified(target: str, signed: bool, values: str) -> str | None:
    if target != "relu" or signed or values in NEGATIVE_VALUES:
        return None
    return "model.target: relu needs data.signed=true, as max(x, 0) = x otherwise"


def _signed(signed: bool, values: str, target: str, output: str) -> str | None:
    if target != "identity" or output != "relu" or not (signed or values in NEGATIVE_VALUES):
        return None
    key = "data.signed" if signed else f"data.values={values}"
    return f"{key}: a relu output cannot be negative; use model.target=abs or model.output=linear"


def _values(values: str, signed: bool) -> str | None:
    if values == _DATA.values or not signed:
        return None
    return (
        f"data.values: {values} beside data.signed=true, which is about uniform values; leave "
        "data.signed out"
    )


def _bias(bias: str, bias_init: float, bias_std: float, decay_bias: bool) -> str | None:
    if bias == _MODEL.bias:
        return None
    given = (("model.bias_init", bias_init), ("model.bias_std", bias_std))
    beside = [f"{key}={value:g}" for key, value in given if value]
    beside += [] if decay_bias else ["train.decay_bias=false"]
    return (
        f"model.bias: none beside {' and '.join(beside)}; without a bias leave it out"
        if beside
        else None
    )


def _start(start: str | None, n_features: int, n_hidden: int) -> str | None:
    if start is None:
        return None
    if n_hidden != 2:
        return f"model.init: {start} beside model.n_hidden={n_hidden}; a polygon needs 2"
    if corners(start) > n_features:
        return f"model.init: {start}; allowed: at most model.n_features={n_features} corners"
    return None


def _full_batch(n_points: Any, batch_size: int) -> str | None:
    if n_points is not None and batch_size != _TRAIN.batch_size:
        return (
            f"train.batch_size: {batch_size} beside data.n_points={n_points}, trained full batch; "
            "leave it out"
        )
    return None


def _data_seed(seed: Any, n_points: Any) -> str | None:
    if seed is None or n_points is not None:
        return None
    return (
        f"data.seed: {seed} without data.n_points; fresh batches belong to the seed of their model"
    )


def _sharpness(sharpness: float, correlation: str) -> str | None:
    if sharpness == _DATA.sharpness or correlation == "circle":
        return None
    return f"data.sharpness: {sharpness:g} without data.correlation=circle; leave it out"


def _strength(strength: float, correlation: str, sparsity: Any, density: Any) -> str | None:
    if correlation != "pairs":
        return (
            f"data.strength: {strength:g} without data.correlation=pairs; leave it out"
            if strength
            else None
        )
    given = _densities(sparsity, density)
    p = complement(DEFAULT_SPARSITY) if given is None else given
    least = max(_least_strength(p) for p in (p if isinstance(p, tuple) else (p,)))
    if strength >= least - _ROUNDING:
        return None
    return (
        f"data.strength: {strength:g}; allowed: at least {least:.4g}, as no two features of that "
        "density have a lower correlation"
    )


def _least_strength(p: float) -> float:
    """The lowest correlation that two features of density p can have."""
    odds = p / (1 - p) if p < 1 else math.inf
    return -min(odds, 1 / odds)


def _only_with(key: str, correlation: str) -> Rule:
    """A key that says what one value of data.correlation needs to know."""

    def rule(value: Any, given: str) -> str | None:
        if value is None and given == correlation:
            return f"data.{key}: is missing; data.correlation={correlation} needs it"
        if value is not None and given != correlation:
            return f"data.{key}: given without data.correlation={correlation}; set both"
        return None

    return rule


def _exactly(exactly: int | None, n_features: int, sparsity: Any, density: Any) -> str | None:
    if exactly is None:
        return None
    if exactly > n_features:
        return (
            f"data.exactly: {exactly} of {n_features} features; allowed: at most model.n_features"
        )
    return _density_beside("exactly", "which says how often features are active", sparsity, density)


def _tree(tree: Any, n_features: int, sparsity: Any, density: Any) -> str | None:
    if tree is None:
        return None
    named = len(nodes(tree))
    if named > n_features:
        return f"data.tree: {named} features; allowed: at most model.n_features={n_features}"
    greatest = max(sums(tree), default=0.0)
    if greatest > 1 + _ROUNDING:
        return (
            f"data.tree: exclusive children of probabilities that sum to {greatest:.4g}; allowed: "
            "at most 1"
        )
    if named == n_features:
        return _density_beside("tree", f"which names all {named} features", sparsity, density)
    if isinstance(_densities(sparsity, density), tuple):
        return (
            "data.density: a list beside data.tree; allowed: one number, of the features that the "
            "tree does not name"
        )
    return None


def _density_beside(of: str, why: str, sparsity: Any, density: Any) -> str | None:
    """The default sparsity stands in every plan that says neither."""
    key = "data.sparsity" if density is None else "data.density"
    if density is None and sparsity in (None, DEFAULT_SPARSITY):
        return None
    return f"{key}: given beside data.{of}, {why}; leave it out"


def _only_in_sets(correlation: str, sampler: str) -> str | None:
    if correlation in ("none", "correlated", "anticorrelated") or sampler != "sparse":
        return None
    return (
        f"data.sampler: sparse with data.correlation={correlation}, of which every cell is drawn; "
        "use dense"
    )


def _sampler(sampler: str, n_points: Any) -> str | None:
    if sampler == "sparse" and n_points is not None:
        return (
            f"data.sampler: sparse beside data.n_points={n_points}; the points of a fixed data set "
            "are drawn densely"
        )
    return None


RULES: Rules = (
    (("data.sparsity", "data.density"), _one_of_both),
    (("data.sparsity", "model.n_features"), _length_of("data.sparsity")),
    (("data.density", "model.n_features"), _length_of("data.density")),
    (("importance.values", "model.n_features"), _length_of("importance.values")),
    (("data.sparsity", "data.density", "data.last"), _density_of_last),
    (("data.correlation", "data.set_size", "model.n_features"), _sets),
    (
        ("data.correlation", "data.set_size", "data.sparsity", "data.density", "data.last"),
        _one_density_a_set,
    ),
    (("importance.decay", "importance.last", "importance.values"), _importance),
    (("importance.decay", "importance.last", "model.n_features"), _greatest_importance),
    (("model.target", "model.tied", "model.hidden", "data.signed", "data.values"), _target),
    (("model.target", "data.signed", "data.values"), _rectified),
    (("data.signed", "data.values", "model.target", "model.output"), _signed),
    (("data.values", "data.signed"), _values),
    (("model.bias", "model.bias_init", "model.bias_std", "train.decay_bias"), _bias),
    (("model.init", "model.n_features", "model.n_hidden"), _start),
    (("data.n_points", "train.batch_size"), _full_batch),
    (("data.seed", "data.n_points"), _data_seed),
    (("data.sharpness", "data.correlation"), _sharpness),
    (("data.strength", "data.correlation", "data.sparsity", "data.density"), _strength),
    (("data.tree", "data.correlation"), _only_with("tree", "tree")),
    (("data.exactly", "data.correlation"), _only_with("exactly", "exactly")),
    (("data.exactly", "model.n_features", "data.sparsity", "data.density"), _exactly),
    (("data.tree", "model.n_features", "data.sparsity", "data.density"), _tree),
    (("data.correlation", "data.sampler"), _only_in_sets),
    (("data.sampler", "data.n_points"), _sampler),
)
