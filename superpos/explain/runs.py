"""Explanations of the models of a finished run, graded and kept: RUN/explain/ID.

A part holds the grades of the chosen models of one chunk; what is there is not made again. Nothing
is trained, and nothing of this is part of the run's digest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from superpos.config.wording import did_you_mean
from superpos.errors import ConfigError, IncompleteError, SuperposError
from superpos.explain import forests, grades, truth
from superpos.explain.keys import ALL, FORESTS, METHODS, SEVERAL, schema
from superpos.explain.methods import ABOUT_MODELS, Attributed, Known, attribute
from superpos.explain.values import MAX_FEATURES, MAX_INTEGRATED
from superpos.maths.types import Floats
from superpos.store import Run
from superpos.store.explanations import ExplanationFiles
from superpos.store.export import chosen as chosen_models
from superpos.store.rows import healthy

VERSION: Final = 1
"""Raised whenever a grade changes: what was kept by another version is made anew."""
_BLOCK: Final = 100
"""Models that are explained at once."""

Progress = Callable[[int, int], None]
"""Called with the models that are done, and all of them."""


@dataclass(frozen=True)
class Asked:
    """What is asked of a run."""

    methods: tuple[str, ...]
    questions: tuple[truth.Question, ...]
    options: Mapping[str, Any]
    """Values of the other explain.* keys by dotted name."""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Asked:
        """Of values of explain.* keys, lists of them for method and question.

        Raises `ConfigError` with every fault.
        """
        known = schema()
        values = dict(known.defaults)
        faults = [
            f"{name}: {did_you_mean(name, list(known.keys))}"
            for name in given
            if name not in known.keys
        ]
        for name in given.keys() & known.keys:
            several = isinstance(given[name], list | tuple)
            if several and name not in SEVERAL:
                faults.append(f"{name}: got several values; allowed: one")
                continue
            items = list(given[name]) if several else [given[name]]
            try:
                values[name] = [known.canonical(name, item) for item in items]
            except ValueError as fault:
                faults.append(f"{name}: {fault}")
        if faults:
            raise ConfigError(faults)
        lists = {
            name: value if isinstance(value, list) else [value] for name, value in values.items()
        }
        methods, questions = (dict.fromkeys(lists.pop(name)) for name in SEVERAL)
        options = {name: value[0] for name, value in lists.items()}
        asked = cls(_methods(tuple(methods), tuple(questions), options), tuple(questions), options)
        asked.check()
        return asked

    def check(self) -> None:
        """Raises `ConfigError` for a method that has no answer to any of the questions, or to this
        background.
        """
        inputs = [question for question in self.questions if question in truth.ABOUT_INPUTS]
        faults = [
            f"explain.method={method}: says nothing of single inputs, which "
            f"explain.question={question} is about; "
            "allowed: global, structure"
            for method in self.methods
            for question in inputs
            if method in ABOUT_MODELS
        ]
        if not forests.installed():
            faults += [
                f"explain.method={name}: {forests.MISSING}"
                for name in self.methods
                if name in FORESTS
            ]
        if self.options["explain.background"] == "data" and "integrated_gradients" in self.methods:
            faults.append("explain.background=data: integrated_gradients takes zero, mean or rows")
        if faults:
            raise ConfigError(faults)

    def check_models(self, known: Known) -> None:
        """Raises `ConfigError` for models that cannot be asked this."""
        n = known.layers.n_inputs
        faults = []
        for question in ("sets", "global"):
            if question in self.questions and n > MAX_FEATURES:
                faults.append(
                    f"explain.question={question}: got {n} features; allowed: up to {MAX_FEATURES}"
                )
        conditional = (
            "conditional_shapley" in self.methods or self.options["explain.value"] == "conditional"
        )
        if conditional and known.set_size == 1:
            faults.append(
                "explain.value=conditional: got independent features, where it is the "
                "interventional value; "
                "allowed: data.correlation=correlated"
            )
        limit = MAX_INTEGRATED if self.options["explain.background"] == "data" else MAX_FEATURES
        if conditional and n > MAX_INTEGRATED:
            faults.append(f"conditional values: got {n} features; allowed: up to {MAX_INTEGRATED}")
        if "banzhaf" in self.methods and n > limit:
            faults.append(
                f"explain.method=banzhaf: got {n} features; allowed: up to {limit}, shapley takes "
                "more"
            )
        if not known.layers.is_affine:
            if conditional:
                faults.append(
                    "explain.value=conditional: needs a linear hidden layer, found a ReLU one"
                )
            if "structure" in self.questions:
                faults.append(
                    "explain.question=structure: needs a linear hidden layer, found a ReLU one"
                )
            if self.options["explain.background"] == "data" and "banzhaf" in self.methods:
                faults.append(
                    "explain.background=data: banzhaf needs a linear hidden layer, found a ReLU one"
                )
        active = self.options["explain.active"]
        if active != "data" and active > n:
            faults.append(
                f"explain.active: got {active}; allowed: up to the {n} features of the models, or "
                "data"
            )
        if faults:
            raise ConfigError(faults)

    def facts(self, models: str | list[int]) -> dict[str, Any]:
        """What decides what an explanation says."""
        return {
            "version": VERSION,
            "methods": list(self.methods),
            "questions": list(self.questions),
            "options": dict(self.options),
            "models": models,
        }


def _methods(
    given: tuple[str, ...], questions: tuple[str, ...], options: Mapping[str, Any]
) -> tuple[str, ...]:
    """The methods by name; "all" are those that have an answer."""
    if ALL not in given:
        return given
    if len(given) > 1:
        raise ConfigError(
            f"explain.method: got all and {len(given) - 1} more; allowed: all alone, or names"
        )
    left_out = {"conditional_shapley", *FORESTS}
    if set(questions) & set(truth.ABOUT_INPUTS):
        left_out |= set(ABOUT_MODELS)
    if options["explain.background"] == "data":
        left_out.add("integrated_gradients")
    return tuple(name for name in METHODS if name not in left_out)


def explain(
    run: Run,
    method: str | Sequence[str] = ALL,
    *,
    question: str | Sequence[str] = "sets",
    models: Any = ALL,
    **keys: Any,
) -> pd.DataFrame:
    """Grades of explanation methods for models of the run, one row per model, method and question.

    `method` and `question` are names or lists of them; `models` is "all", "best" (of every setting)
    or numbers; `keys` are the other explain.* keys without their group: background="mean",
    inputs=200. What was graded before is read from RUN/explain. Columns: model, row_id, method,
    question, grade (NaN where no output moves), missed and signs (of the real causes: the share
    that was given exactly 0, and the share with the right sign), graded and still (outputs that
    were graded, and that do not move), error (mean standard error where values were sampled).

    Raises `ConfigError` for what cannot be asked, `SuperposError` for models of which nothing can
    be said.
    """
    given = {
        "explain.method": method,
        "explain.question": question,
        **{f"explain.{key}": keys[key] for key in keys},
    }
    asked = Asked.of(given)
    words = models if isinstance(models, str) else ",".join(str(int(model)) for model in models)
    return graded(run, asked, words)


def graded(
    run: Run, asked: Asked, models: str = ALL, progress: Progress | None = None
) -> pd.DataFrame:
    """The same of a request: made where it is not there.

    Nothing is written where a model cannot be asked.
    """
    parts = dict(_parts(run, models))
    if not parts:
        raise IncompleteError(f"{run.path} has no finished models to explain; train it first")
    numbers: str | list[int] = (
        ALL if models == ALL else sorted(int(i) for rows in parts.values() for i in rows)
    )
    kept = ExplanationFiles(run.path, asked.facts(numbers))
    missing = [part for part in parts if not kept.has(part)]
    for part in missing:
        asked.check_models(known_models(run, parts[part][:1]))
    total = sum(len(parts[part]) for part in missing)
    done = 0
    for part in missing:
        rows = parts[part]
        found = []
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK]
            if progress is not None:
                progress(done, total)
            found.append(grades_of(run, block, asked))
            done += len(block)
        kept.publish(part, pd.concat(found, ignore_index=True))
    if progress is not None and missing:
        progress(done, total)
    return pd.concat([kept.read(part) for part in parts], ignore_index=True)


def kept(run: Any) -> list[tuple[dict[str, Any], pd.DataFrame]]:
    """The options and grades of every explanation that is kept of a run; none of a run that is no
    folder.
    """
    if not isinstance(run, Run):
        return []
    found = []
    for facts, tables in ExplanationFiles.all_of(run.path):
        if facts.get("version") == VERSION and tables:
            found.append((facts["options"], pd.concat(tables, ignore_index=True)))
    return found


def known_models(run: Run, models: Sequence[int]) -> Known:
    """Models of one chunk. Raises `SuperposError` for a family without one hidden layer."""
    family = run.require_family()
    if family.one_layer is None:
        why = (
            f"with functions of a user's own ({family.functions})"
            if family.functions
            else f"{family.name!r}"
        )
        raise SuperposError(
            f"explanations need models with one hidden layer, found the family {why}"
        )
    return Known.of(family.one_layer(run, models))


def _parts(run: Run, models: str) -> Iterator[tuple[int, list[int]]]:
    """The chosen models of every chunk that has some; those that diverged are left out."""
    whole = set(healthy(run.table)["model"]) if not run.table.empty else set()
    wanted = whole & set(chosen_models(run, models))
    for part, rows in enumerate(run.folder.rows):
        if here := [int(row) for row in rows if row in wanted]:
            yield part, here


def inputs_of(known: Known, options: Mapping[str, Any]) -> Floats:
    """The inputs [M, B, n] at which models are explained."""
    active = options["explain.active"]
    count = options["explain.inputs"]
    if active == "data":
        return truth.data(known.density, count, known.set_size)
    n = known.layers.n_inputs
    return known.layers.inputs(truth.active_inputs(n, active, count, known.set_size))


def grades_of(run: Run, models: Sequence[int], asked: Asked) -> pd.DataFrame:
    """Grades of some models of one chunk."""
    known = known_models(run, models)
    x = inputs_of(known, asked.options)
    answers = {question: _answer(question, known, x) for question in asked.questions}
    ids = run.table.loc[list(models), "row_id"].to_numpy()
    tables = []
    for method in asked.methods:
        found = attribute(method, known, x, asked.options)
        for question, answer in answers.items():
            grade = _grade(answer, found, question)
            error = np.nan if found.error is None else found.error.mean(axis=(1, 2, 3))
            tables.append(
                pd.DataFrame(
                    {
                        "model": np.asarray(models, dtype=np.int64),
                        "row_id": ids,
                        "method": method,
                        "question": question,
                        **grade._asdict(),
                        "error": error,
                    }
                )
            )
    return pd.concat(tables, ignore_index=True)


def _answer(question: truth.Question, known: Known, x: Floats) -> Floats | truth.Sets:
    """What is true."""
    W, b = known.arguments
    if question == "sets":
        return truth.sets(W, b, x, **known.activations)
    if question == "global":
        x = truth.data(known.density, set_size=known.set_size)
    return truth.effects(W, b, x, question, density=known.density, **known.activations)


def _grade(
    answer: Floats | truth.Sets, found: Attributed, question: truth.Question
) -> grades.Grade:
    if isinstance(answer, truth.Sets):
        return grades.grade_sets(answer, found.values)
    if question in truth.ABOUT_INPUTS:
        return grades.grade_causes(answer, found.values)
    about_model = found.values if found.values.ndim == 3 else np.abs(found.values).mean(axis=1)
    return grades.grade_model(answer, about_model)
