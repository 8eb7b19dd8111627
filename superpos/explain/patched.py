"""Patching asked of a finished run: what is replaced, what is found, and whether that is true.

Of circuits made by hand the true parts are known. A trained model has no answer key but its own
exact effects: a part is true there that moves the measured number by `patch.threshold` of the total
or more beside some set of the others. Where sets are too many there is no key, and no grade.

Shapes: M models, B pairs of inputs, P parts or edges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from itertools import product
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import torch

from superpos.errors import ConfigError, IncompleteError
from superpos.explain import estimates, patching
from superpos.explain.patch_keys import SEVERAL, PatchConfig, schema
from superpos.explain.patching import Pairs, Site
from superpos.store import Run
from superpos.store.explanations import PATCHES, ExplanationFiles

if TYPE_CHECKING:
    import pandas as pd

VERSION: Final = 2
"""Raised whenever an effect changes: what was kept by another version is made anew."""


class Patched(NamedTuple):
    """What a family says of its models: pairs of inputs, and which parts are true."""

    pairs: Pairs
    donors: torch.Tensor
    """Inputs [M, D, ...] from which ablations take values."""
    true: tuple[str, ...] | None
    """The parts of the circuit; None where each pair has its own, found by enumeration."""
    edges: tuple[Site, ...] = ()
    """What later parts get of earlier ones."""
    true_edges: tuple[str, ...] = ()
    trained: bool = False
    """Whether nobody made the circuit, so that what is true is what has a large enough effect."""

    def sites(self, asked: PatchConfig) -> tuple[Site, ...]:
        """What is replaced. Raises `ConfigError` for edges where these have no names."""
        found = self.pairs.sites if asked.sites == "parts" else self.edges
        if not found:
            raise ConfigError("patch.sites: these models have no edges with names; allowed: parts")
        return found

    def has_key(self, asked: PatchConfig) -> bool:
        """Whether it can be said which of them are true."""
        return not self.trained or len(self.sites(asked)) <= patching.MAX_PARTS


@dataclass(frozen=True)
class Asked(PatchConfig):
    """One question; see the keys of `superpos patch`."""

    @classmethod
    def each(cls, values: Mapping[str, Any]) -> list[Self]:
        """One for each combination of the values, by the last part of their keys.

        Raises `ConfigError` for what is no key, no value or cannot be asked together.
        """
        known = [field.name for field in fields(cls)]
        wrong = [name for name in values if name not in known]
        faults = [f"patch.{name}: unknown key; allowed: {', '.join(known)}" for name in wrong]
        lists: dict[str, list[Any]] = {}
        for name in known:
            given = values.get(name, getattr(cls(), name))
            several = isinstance(given, list | tuple)
            if several and name not in SEVERAL:
                faults.append(f"patch.{name}: got {len(given)} values; allowed: one")
            lists[name] = []
            for value in given if several else [given]:
                try:
                    lists[name].append(schema().canonical(f"patch.{name}", value))
                except ValueError as fault:
                    faults.append(f"patch.{name}: {fault}")
        if faults:
            raise ConfigError(faults)
        found = [cls(*combination) for combination in product(*lists.values())]
        for one in found:
            one.check()
        return found

    def check(self) -> None:
        """Raises `ConfigError` for what cannot be asked together."""
        estimated = self.estimate != "exact"
        if estimated and self.metric in patching.WITHOUT_GRADIENT:
            words = f"{self.estimate} with patch.metric={self.metric}, which has no gradient"
            raise ConfigError(f"patch.estimate: {words}")
        if estimated and (self.direction != "noising" or self.ablation != "corrupt"):
            raise ConfigError(
                f"patch.estimate: {self.estimate} estimates noising by corrupt values; "
                "leave out patch.direction and patch.ablation"
            )
        if self.ablation != "corrupt" and self.direction != "noising":
            raise ConfigError(
                f"patch.ablation: {self.ablation} with patch.direction={self.direction}; "
                "it takes the place of corrupt values in clean runs"
            )
        if self.sites == "edges" and (self.direction == "shapley" or self.ablation != "corrupt"):
            raise ConfigError("patch.sites: edges have noising, denoising and estimates of it")


class Found(NamedTuple):
    """What patching finds of some models."""

    names: tuple[str, ...]
    effects: torch.Tensor  # [P, M, B]
    total: torch.Tensor  # [M, B]
    counted: torch.Tensor  # [M, B]; pairs whose total is large enough
    graded: torch.Tensor  # [M, B]; those of which true parts are known
    true: torch.Tensor  # [P, M, B]; nothing where they are not
    found: torch.Tensor  # [P, M, B]; effects that are large enough

    @property
    def shares(self) -> torch.Tensor:
        """Mean effect over the mean total, [P, M]."""
        return (self.effects * self.counted).sum(-1) / (self.total * self.counted).sum(-1)

    @property
    def score(self) -> patching.Score:
        """Mean precision and recall over the pairs of each model, [M]; NaN where none has one."""
        precision, recall = patching.score(self.found, self.true)
        return patching.Score(_mean(precision, self.graded), _mean(recall, self.graded))

    @property
    def nothing(self) -> torch.Tensor:
        """Share of the pairs in which nothing is found, [M]."""
        return _mean((~self.found.any(0)).double(), self.counted)


def _mean(values: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
    """Means [...] over the pairs that count, of values [..., B]; NaN where none does."""
    return torch.where(counted, values, torch.nan).nanmean(-1)


def find(asked: Asked, patched: Patched, true: torch.Tensor | None = None) -> Found:
    """What one question finds. `true` [P, M, B] saves finding true parts again.

    Models of which no pair loses enough have shares and scores of NaN. Raises `ConfigError` for
    edges where these have no names.
    """
    pairs = patched.pairs
    sites = patched.sites(asked)
    counted = pairs.total >= asked.min_total
    effects = _effects(asked, patched, sites)
    if true is None:
        true = true_sites(asked, patched)
    found = effects.abs() >= _least(asked, pairs)
    found &= effects != 0  # a threshold of 0 finds what does something
    names = tuple(site.name for site in sites)
    graded = counted & patched.has_key(asked)
    return Found(names, effects, pairs.total, counted, graded, true, found)


def _least(asked: Asked, pairs: Pairs) -> torch.Tensor:
    """The effect from which on a part counts, [M, B]."""
    return asked.threshold * pairs.total.abs()


def true_sites(asked: Asked, patched: Patched) -> torch.Tensor:
    """Which parts or edges are true in each pair, [P, M, B]."""
    pairs = patched.pairs
    if patched.trained:
        sites = patched.sites(asked)
        if not patched.has_key(asked):
            return torch.zeros(len(sites), *pairs.total.shape, dtype=torch.bool)
        return patching.true_parts(pairs, sites, _least(asked, pairs))
    if asked.sites == "edges":
        names = [site.name for site in patched.edges]
        true = patched.true_edges
    elif patched.true is None:
        return patching.true_parts(pairs)
    else:
        names = list(pairs.parts)
        true = patched.true
    key = torch.tensor([name in true for name in names])
    return key[:, None, None].expand(-1, *pairs.total.shape)


def _effects(asked: Asked, patched: Patched, sites: Sequence[Site]) -> torch.Tensor:
    pairs = patched.pairs
    if asked.estimate != "exact":
        return estimates.estimate(pairs, asked.estimate, asked.steps, sites)
    if asked.ablation != "corrupt":
        return patching.ablation(pairs, asked.ablation, patched.donors)
    if asked.direction == "shapley":
        return patching.shapley(pairs)
    return (patching.noising if asked.direction == "noising" else patching.denoising)(pairs, sites)


def patched_of(run: Run, models: Sequence[int], asked: Asked) -> Patched:
    """What is replaced in some models of one structure. Raises `ConfigError` where it cannot be."""
    family = run.require_family()
    if family.patched is None:
        words = f"models of the family {family.name!r} have no parts that can be patched"
        raise ConfigError(f"{run.path}: {words}")
    made: Patched = family.patched(run, models, asked.corrupt, asked.metric, asked.prompts)
    return made


def patch(run: Run, model: int = 0, **values: Any) -> pd.DataFrame:
    """Patches a model: one row per part (or edge) and question.

    `values` are the keys of `superpos patch` without "patch.": direction, ablation, corrupt, metric
    and estimate may be lists. What was found before is read from RUN/patch. Columns: the question,
    "part", "effect" (mean of the measured number that is lost), "share" of the total, "total",
    "true" and "found" (in which share of the pairs), "precision" and "recall" (means over pairs,
    the same for all parts), "graded" (pairs of which true parts are known; NaN stands for grades of
    none) and "key" (how they are known of trained models).

    Raises `ConfigError` for what cannot be asked, and keeps nothing then.
    """
    import pandas as pd

    questions = []
    for asked in Asked.each(values):
        kept = ExplanationFiles(run.path, {"version": VERSION, **asdict(asked)}, PATCHES)
        missing = None if kept.has(model) else patched_of(run, [model], asked)
        if missing is not None:  # a share of nothing is no answer
            patching.counts(missing.pairs.total, asked.min_total)
        questions.append((asked, kept, missing))
    tables = []
    for asked, kept, missing in questions:
        if missing is None:
            tables.append(kept.read(model))
            continue
        found = pd.DataFrame(_rows(asked, missing))
        with suppress(IncompleteError):  # a folder that is somebody else's keeps no answers
            kept.publish(model, found)
        tables.append(found)
    return pd.concat(tables, ignore_index=True)


def _rows(asked: Asked, patched: Patched) -> list[dict[str, Any]]:
    """One row per part, of a single model."""
    found = find(asked, patched)
    question = {name: getattr(asked, name) for name in SEVERAL}
    counted = found.counted[0]
    graded = found.graded[0]
    score = found.score
    rows = []
    for i, name in enumerate(found.names):
        rows.append(
            {
                **question,
                "part": name,
                "effect": float(found.effects[i, 0][counted].mean()),
                "share": float(found.shares[i, 0]),
                "total": float(found.total[0][counted].mean()),
                "true": float(found.true[i, 0][graded].double().mean()),
                "found": float(found.found[i, 0][counted].double().mean()),
                "precision": float(score.precision[0]),
                "recall": float(score.recall[0]),
                "graded": int(graded.sum()),
                "key": _key(asked, patched),
            }
        )
    return rows


def _key(asked: Asked, patched: Patched) -> str | None:
    """How it is known which parts of a trained model are true; None of circuits made by hand."""
    if not patched.trained:
        return None
    if patched.has_key(asked):
        return f"exact effects from {asked.threshold:g} of the total"
    return f"none: more than {patching.MAX_PARTS} parts"
