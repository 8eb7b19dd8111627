"""What there is to show: figures by name, those that functions of a user's own bar, the public
names of tms.
"""

from __future__ import annotations

import importlib
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
from memory_run import DIGON_AND_ONE, MemoryRun, make_run, titles

import superpos.geometry
import superpos.metrics
import superpos.theory
from superpos.errors import SuperposError
from superpos.families.tms import exhibits, geometry, metrics, theory
from superpos.family import Exhibits, Family, Figure, every, find
from superpos.figures import points, registry
from superpos.user.functions import Own

TMS = find("tms")
OTHERS = "needs superpos's own model, data and target, found target=squares"
NAMES = [
    "features", "superposition", "phase_diagram", "geometry", "dimensionality", "feature_graph",
    "sets", "pca", "vulnerability", "neurons", "motif", "energy_levels", "energy_ladder",
    "emergent_phases", "interference_weights", "incidental", "compressed", "double_descent",
    "scaling", "circle", "polytopes", "dynamics", "explanation_grades", "contamination",
    "collateral", "forest_importances", "training_movie", "loss",
]  # fmt: skip


def squares(x):  # type: ignore[no-untyped-def]  # torch's
    return x**2


def model(params, x):  # type: ignore[no-untyped-def]  # torch's
    return x


def of_family(family: Family) -> MemoryRun:
    """A run of two densities whose models belong to a family."""
    run = make_run({}, {"data.density": [0.1, 1.0]}, lambda row: DIGON_AND_ONE)
    run.sweep = replace(run.sweep, family=family)
    run.steps = np.array([0, 10])
    run.losses = np.array([[1.0, 0.5], [2.0, 1.0]])
    return run


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_is_a_module_that_says_what_it_can_show_and_draws_it(name: str) -> None:
    figure = registry.figures_of(TMS)[name]
    module = importlib.import_module(figure.module)
    assert callable(module.applies)
    assert callable(module.draw)
    assert hasattr(module, "animate") == figure.movie
    assert figure.description
    assert not figure.barred


def test_figures_stand_in_order_and_those_of_every_family_at_the_end() -> None:
    assert list(registry.figures_of(TMS)) == NAMES
    others = [name for family in every()[1:] for name in family.shows.figures]
    assert list(registry.every_figure()) == list(dict.fromkeys([*NAMES[:-1], *others, NAMES[-1]]))
    assert list(registry.figures_of(replace(TMS, shows=Exhibits()))) == ["loss"]


def test_a_family_without_figures_of_its_own_shows_the_loss() -> None:
    run = of_family(replace(TMS, shows=Exhibits()))
    assert registry.available(run) == ["loss"]
    axes = registry.draw(run, "loss").axes[0]
    # as they were swept
    assert [line.get_label() for line in axes.get_lines()] == ["density = 0.1", "density = 1"]


def test_a_family_has_words_for_its_keys_and_an_order_of_settings() -> None:
    words = {"data.density": "p", "data.density=1.0": "dense"}
    run = of_family(replace(TMS, shows=Exhibits(words=words, ordered_by="data.density")))
    axes = registry.draw(run, "loss").axes[0]
    assert [line.get_label() for line in axes.get_lines()] == ["dense", "p = 0.1"]


def test_a_barred_figure_says_why_and_is_not_asked() -> None:
    figure = Figure("never", "no.such.module", barred="needs what nobody has")
    run = of_family(replace(TMS, shows=Exhibits({"never": figure})))
    assert registry.reasons(run) == {"never": "needs what nobody has", "loss": None}
    with pytest.raises(
        SuperposError, match="figure 'never' needs what nobody has; figures of this run: loss"
    ):
        registry.draw(run, "never")


def test_functions_that_keep_the_parameters_bar_what_needs_data_and_target() -> None:
    own = Own.of({"target": squares})
    assert own is not None
    barred = {name: figure.barred for name, figure in exhibits.shows_with(own).figures.items()}
    assert set(barred.values()) == {"", OTHERS}
    assert [name for name, text in barred.items() if text == OTHERS] == [
        "phase_diagram", "sets", "pca", "vulnerability", "energy_levels", "energy_ladder",
        "emergent_phases", "interference_weights", "incidental", "compressed", "double_descent",
        "scaling", "circle", "dynamics", "explanation_grades", "contamination", "collateral",
        "forest_importances", "training_movie",
    ]  # fmt: skip


def test_functions_with_parameters_of_their_own_bar_what_needs_weights() -> None:
    own = Own.of({"model": model}, {"gate": ("n",)})
    assert own is not None
    found = "needs the parameters of superpos's own model, found those of model=model"
    barred = {name: figure.barred for name, figure in exhibits.shows_with(own).figures.items()}
    assert barred["features"] == barred["neurons"] == found
    assert barred["sets"] == OTHERS.replace("target=squares", "model=model")
    assert "" not in barred.values()


def test_settings_are_ordered_by_one_number() -> None:
    densities = [0.1, ((0.5,) * 5,), ((0.2, 0.2, 0.2, 0.2, 0.9),), 1.0]
    found = points.points(make_run({}, {"data.density": densities}, lambda row: DIGON_AND_ONE))
    numbers = [point.number("data.density") for point in points.ordered(found, "data.density")]
    np.testing.assert_array_equal(numbers, [1.0, 0.5, 0.1, np.nan])
    assert points.ordered(found, None) == found
    assert np.isnan(found[0].number("model.output"))
    assert np.isnan(found[0].number("no.such.key"))


def test_a_setting_is_written_as_papers_write_it() -> None:
    run = make_run(
        {}, {"model.output": ["relu", "linear"], "train.lr": [0.001]}, lambda row: DIGON_AND_ONE
    )
    assert [point.label() for point in points.points(run)] == ["ReLU output", "linear output"]
    assert points.points(run)[0].label(["train.lr", "model.n_features"]) == "lr = 0.001\nn = 5"
    assert titles(registry.draw(run, "features")) == ["ReLU output", "linear output"]


@pytest.mark.parametrize(
    ("public", "home"),
    [(superpos.theory, theory), (superpos.metrics, metrics), (superpos.geometry, geometry)],
)
def test_the_public_modules_have_the_names_of_toy_models(
    public: ModuleType, home: ModuleType
) -> None:
    assert (
        public.__all__
        == home.__all__
        == sorted(home.__all__, key=lambda name: (not name.isupper(), name))
    )
    assert all(getattr(public, name) is getattr(home, name) for name in public.__all__)
