"""Runs whose models' hidden activations are decoded: which of their models, and what is kept of
them.

What is kept is the run's plan and the parameters of the models that are used, so that the new run
stands alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from superpos.errors import ConfigError
from superpos.families.sae.keys import WORLD, SaeConfig
from superpos.families.sae.world.taken import Taken
from superpos.family import Arrays, Run
from superpos.plan.sweep import Axis, Sweep
from superpos.store.rows import healthy, same_setting

SOURCE = "sae.source"
MODEL = "sae.model"
MODELS = "sae.models"
SIZES = ("world.n_features", "world.n_dims")
_PLAN = "plan"
_FILES = "shared"


def file_name(digest: str) -> str:
    """Name of the shared file of what is kept of a run."""
    return f"{SOURCE}-{digest}"


def read(run: Run, models: Sequence[int] | None) -> dict[str, NDArray[Any]]:
    """The plan of a run as bytes, the parameters of some models (default: all) as "MODEL/NAME", its
    shared files.
    """
    sweep = Sweep.from_json(run.manifest["plan"])
    found: dict[str, NDArray[Any]] = {
        _PLAN: np.frombuffer(json.dumps(sweep.to_json()).encode(), dtype=np.uint8)
    }
    for model in range(run.n_models) if models is None else models:
        weights = run.weights(model)
        found |= {
            f"{model}/{name}": weights[name]
            for name in sweep.settings.structure(model).param_shapes
        }
    for file in run.folder.shared_states():
        found |= {f"{_FILES}/{file}/{name}": value for name, value in run.shared(file).items()}
    return found


def taken(kept: Arrays, model: int, seed: int) -> Taken:
    """The world of one model, of what is kept of its run, with draws of this seed."""
    files: dict[str, dict[str, Any]] = {}
    for name, value in kept.items():
        if name.startswith(f"{_FILES}/"):
            _, file, tensor = name.split("/", 2)
            files.setdefault(file, {})[tensor] = value
    sweep = Sweep.from_json(json.loads(bytes(kept[_PLAN])))
    task = replace(sweep.task(np.array([model]), files), seed=np.array([seed], dtype=np.uint64))
    params = {name: kept[f"{model}/{name}"][None] for name in task.structure.param_shapes}
    return Taken(sweep.family, task, params)


class _Chosen(NamedTuple):
    """A model of a run, and the sizes of its world."""

    model: int
    n_features: int
    n_dims: int


def with_sources(sweep: Sweep, runs: Mapping[str, Run]) -> Sweep:
    """The sweep with an axis of the models of its sources, and their sizes.

    Raises `ConfigError` where one is unfit.
    """
    digests = list(sweep.values(SOURCE))
    if WORLD in digests:
        raise ConfigError(f"{SOURCE}: {WORLD} beside a run; give one of the two")
    missing = [digest for digest in digests if digest.partition(":")[0] not in runs]
    if missing:
        if None in set(sweep.values(MODEL)):
            raise ConfigError(
                f"{SOURCE}: where the run of digest {missing[0]} lies is not known; give its "
                f"folder, or {MODEL}, "
                f"{' and '.join(SIZES)}"
            )
        return sweep
    _check_beside(sweep)
    chosen = {digest: _chosen(digest, runs, sweep.base[MODELS]) for digest in digests}
    return _expanded(sweep, chosen)


def _check_beside(sweep: Sweep) -> None:
    """Raises `ConfigError` where keys are given that follow from the source."""
    defaults = sweep.schema.defaults
    given = [
        key for key in (MODEL, *SIZES) if key in sweep.swept or sweep.base[key] != defaults[key]
    ]
    if given:
        instead = f"; give {MODELS}" if given[0] == MODEL else ""
        raise ConfigError(f"{given[0]}: follows from {SOURCE}; leave it out{instead}")
    if MODELS in sweep.swept:
        raise ConfigError(f"{MODELS}: cannot be swept; give one list")


def _chosen(digest: str, runs: Mapping[str, Run], models: Any) -> list[_Chosen]:
    """The models of a run that are decoded.

    Raises `ConfigError` where it has none of them or they have no features.
    """
    name, _, number = digest.partition(":")
    run = runs[name]
    if run.own is not None:
        raise ConfigError(
            f"{SOURCE}: {run.path} was trained with functions of one's own ({run.own}), which it "
            "lacks"
        )
    family = run.family
    if family is None or family.directions is None:
        kind = run.manifest.get("family")
        raise ConfigError(
            f"{SOURCE}: models of {run.path} (family={kind}) have no features in a hidden layer"
        )
    if number and models != SaeConfig().models:
        raise ConfigError(f"{MODELS}: given beside {SOURCE}=RUN:{number}; give one of the two")
    numbers = [int(number)] if number else _numbers(run, models)
    unfit = sorted(set(numbers) - set(healthy(run.table)["model"].tolist()))
    if unfit:
        raise ConfigError(f"{MODELS}: model {unfit[0]} of {run.path} is none of its results")
    return [_sized(run, model) for model in numbers]


def _numbers(run: Run, models: Any) -> list[int]:
    """The models that `sae.models` names: of those that did not diverge, where it gives no
    numbers.
    """
    if isinstance(models, tuple):
        return list(models)
    table = healthy(run.table)
    if models == SaeConfig().models:
        return [int(model) for model in table["model"]]
    setting = same_setting(table, [key for key in run.swept if key != "seed"])
    lowest = (
        table.sort_values("loss", kind="stable")
        .groupby(setting, sort=False)
        .head(int(models.partition(":")[2]))
    )
    return sorted(int(model) for model in lowest["model"])


def _sized(run: Run, model: int) -> _Chosen:
    """A model with the sizes of its world.

    Raises `ConfigError` where its data are a fixed set of points, or signed.
    """
    world = taken(read(run, [model]), model, 0)
    if replace(world.task.structure, batch_size=2).samples_per_step != 2:
        raise ConfigError(
            f"{SOURCE}: {run.path} has a fixed set of points; autoencoders need fresh batches"
        )
    if world.signed:  # a latent is one direction: W_i, or −W_i where the feature is below 0
        raise ConfigError(
            f"{SOURCE}: {run.path} has signed data; autoencoders need features that are never "
            "below 0"
        )
    return _Chosen(model, *world.features.shape)


def _expanded(sweep: Sweep, chosen: Mapping[str, list[_Chosen]]) -> Sweep:
    """The sweep with the models in the place of each run: in the axis of the runs, or as the
    slowest axis of all.
    """
    at = next((i for i, axis in enumerate(sweep.axes) if SOURCE in axis.keys), None)
    own = Axis((SOURCE,), ((sweep.base[SOURCE],),)) if at is None else sweep.axes[at]
    keys = (*own.keys, MODEL, *SIZES)
    place = own.keys.index(SOURCE)
    points = []
    for point in own.values:
        digest = point[place].partition(":")[0]
        named = (*point[:place], digest, *point[place + 1 :])
        points += [(*named, *one) for one in chosen[point[place]]]
    kept = [key for i, key in enumerate(keys) if len({point[i] for point in points}) > 1]
    same = {key: value for key, value in zip(keys, points[0], strict=True) if key not in kept}
    unsaid = {key: sweep.schema.defaults[key] for key in (*kept, MODELS)}
    values = tuple(
        tuple(value for key, value in zip(keys, point, strict=True) if key in kept)
        for point in points
    )
    others = [axis for i, axis in enumerate(sweep.axes) if i != at]
    new = [Axis(tuple(kept), values)] if kept else []
    first = 0 if at is None else at
    return replace(
        sweep, base={**sweep.base, **same, **unsaid}, axes=(*others[:first], *new, *others[first:])
    )
