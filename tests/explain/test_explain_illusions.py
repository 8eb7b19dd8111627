"""Directions that are illusions, attention that could be other, and what patches do beside what is
meant.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import superpos
from superpos.explain import attention, subspaces
from superpos.families.circuit.analysis import illusions, tokens
from superpos.families.circuit.figures import attention_effect as attention_figure
from superpos.families.circuit.measures import attention as attention_measures
from superpos.families.circuit.measures import illusion as illusion_measures
from superpos.families.tms.analysis import collateral
from superpos.families.tms.measures import patches
from superpos.figures import registry
from superpos.store import Run

W1 = np.array([1.0, 1.0, 0.0])  # what x writes: the second is not read
W2 = np.array([1.0, 0.0, 2.0])  # what is read: the third does not vary
ILLUSION = ["family=circuit", "circuit.kind=illusion"]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def pairs(outputs: Path) -> Run:
    return superpos.train([*ILLUSION, "circuit.distractors=0,1", "name=pairs"], out=outputs)


@pytest.fixture(scope="module")
def prompts(outputs: Path) -> Run:
    words = ["family=circuit", "circuit.kind=induction_k", "circuit.beta=0.5,4,20", "name=prompts"]
    return superpos.train(words, out=outputs)


@pytest.fixture(scope="module")
def toys(outputs: Path) -> Run:
    words = [
        "model.n_features=4",
        "model.n_hidden=2",
        "data.density=0.5,0.1",
        "model.output=linear",
    ]
    return superpos.train([*words, "train.steps=50", "engine.threads=1", "name=toys"], out=outputs)


# --- directions ----------------------------------------------------------------------------------


def test_half_of_what_varies_and_half_of_what_is_read_move_the_output_as_the_true_part_does() -> (
    None
):
    v = np.array([[1, 0, 0], [0, np.sqrt(0.5), np.sqrt(0.5)], [0, 1, 0], [0, 0, 1]])
    assert subspaces.moved(v, W1, W2).tolist() == pytest.approx([1, 1, 0, 0])


def test_searches_end_at_perfect_directions_that_are_mostly_others() -> None:
    v = subspaces.aligned(W1, W2, starts=100)
    assert np.linalg.norm(v, axis=1) == pytest.approx(np.ones(100))
    perfect = np.abs(subspaces.moved(v, W1, W2) - 1) < 1e-6
    assert perfect.mean() > 0.9
    assert 0.4 < np.median(np.abs(v[perfect, 0])) < 0.7
    first = np.array([1.0, 0, 0])
    alone = subspaces.aligned(first, first, starts=20)
    exact = np.abs(subspaces.moved(alone, first, first) - 1) < 1e-5
    assert exact.mean() > 0.8
    assert np.abs(alone[exact, 0]).min() > 0.99  # without a pair there is one perfect direction


def test_illusions_are_circuits_whose_parts_are_known(pairs: Run) -> None:
    assert pairs.table["formula"].tolist() == ["g0", "g0 + 2 g2"]
    found = pairs.patch(1).set_index("part")
    assert found["share"].to_dict() == pytest.approx({"on0": 0, "g0": 1, "g1": 0, "g2": 0})
    many = superpos.train([*ILLUSION, "circuit.distractors=6"], out=pairs.path.parent)
    of_many = many.patch(0)
    assert of_many.loc[of_many["true"] == 1, "part"].tolist() == ["g0"]
    none, one = illusions.aligned(pairs)
    assert (none.pairs, one.pairs) == (0, 1)
    assert none.cosine.min() == 1
    assert np.isnan(none.textbook) and one.textbook == pytest.approx(1)
    assert illusion_measures.cosine(pairs).values == pytest.approx([1, np.median(one.cosine)])
    figure = registry.draw(pairs, "illusion")
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [
        "none",
        "1 pair",
    ]


# --- attention -----------------------------------------------------------------------------------


def test_a_token_that_is_left_out_gives_its_attention_to_the_others() -> None:
    weights, values = np.array([0.5, 0.3, 0.2]), np.array([1.0, 2.0, -1.0])
    y = weights @ values
    for t in range(3):
        rest = np.delete(weights, t)
        without = rest / rest.sum() @ np.delete(values, t)
        assert attention.left_out(weights, values)[t] == pytest.approx(without * -1 + y)
    alone = attention.left_out(np.array([1.0, 0.0]), np.array([3.0, 1.0]))
    assert np.isnan(alone[0]) and alone[1] == 0


def test_divergence_of_two_points_is_log_2() -> None:
    one, other = np.eye(2)
    assert attention.divergence(one, other) == pytest.approx(np.log(2))
    assert attention.divergence(one, one) == 0


def test_the_worst_attention_is_at_least_that_of_many_random_ones_that_write_the_same() -> None:
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(4), 20)
    values = rng.normal(size=(20, 4))
    y = (weights * values).sum(-1)
    allowed = 0.1 * np.abs(y)
    worst = attention.worst(weights, values, allowed)
    other = rng.dirichlet(np.full(4, 0.3), (20_000, 1))
    near = np.abs((other * values).sum(-1) - y) <= allowed
    found = np.where(near, attention.divergence(other, weights), 0).max(axis=0)
    assert (worst >= found - 1e-12).all()
    assert (worst <= found + 0.15).all()
    alike = attention.worst(weights, np.ones((20, 4)), np.zeros(20))
    least = weights.argmin(-1)
    expected = attention.divergence(weights, np.eye(4)[least])
    assert alike == pytest.approx(expected)  # where all tokens write the same, any of them will do


@pytest.mark.parametrize(("length", "expected"), [(5, 0.45), (30, 0.67)])
def test_random_sentences_have_attention_that_is_quite_other(length: int, expected: float) -> None:
    """Jain & Wallace 2019 found up to 0.69, which is log 2."""
    rng = np.random.default_rng(0)
    weights = np.exp(rng.normal(size=(200, length)))
    weights /= weights.sum(-1, keepdims=True)
    values = rng.normal(size=(200, length))
    allowed = 0.05 * np.abs((weights * values).sum(-1))
    assert attention.worst(weights, values, allowed).mean() == pytest.approx(expected, abs=0.03)


def test_rollout_goes_through_all_layers() -> None:
    first, second = np.array([[1.0, 0], [1, 0]]), np.array([[1.0, 0], [0, 1]])
    found = attention.rollout(np.stack([first, second])[:, None])
    assert found.tolist() == [[1, 0], [0.5, 0.5]]


def test_three_tokens_matter_and_sharp_attention_names_one(prompts: Run) -> None:
    found = tokens.tokens_of(prompts, (0, 1, 2))
    effect = np.take_along_axis(found.effect[2], found.places, axis=1).mean(axis=0)
    assert effect.tolist() == pytest.approx([1, 1, 0, 0, 1], abs=0.02)
    recall = attention_measures.found(prompts, "attention", "recall").values
    assert recall.tolist() == pytest.approx([1, 1 / 3, 1 / 3])
    precision = attention_measures.found(prompts, "attention", "precision").values
    assert precision[[0, 2]].tolist() == pytest.approx([0.4, 1], abs=0.01)
    divergence = attention_measures.divergence(prompts).values
    assert divergence[0] > 0.45 and divergence[2] < 0.05


def test_bars_and_lines_of_attention(prompts: Run, pairs: Run) -> None:
    [shown] = attention_figure.gather(prompts).values()
    assert shown.betas.tolist() == [0.5, 4, 20]
    assert shown.bars["attention"].tolist() == pytest.approx([0, 1, 0, 0, 0], abs=0.01)
    assert len(registry.draw(prompts, "attention_effect").axes) == 2
    assert (
        registry.reasons(prompts)["illusion"]
        == "needs circuit.kind=illusion with 2 values of circuit.distractors"
    )
    assert "3 values of circuit.beta" in str(registry.reasons(pairs)["attention_effect"])


# --- patches of the hidden layer -----------------------------------------------------------------


def test_true_interventions_are_perfect_and_patches_move_others(toys: Run) -> None:
    models = list(range(toys.n_models))
    true = collateral.moved(toys, models, "input")
    assert true.on_target.tolist() == pytest.approx([1] * len(models))
    for patch in ("direction", "neuron"):
        found = collateral.moved(toys, models, patch)
        assert found.models.tolist() == models
        assert (found.others > true.others).all(), patch
    assert patches.on_target(toys, "direction").values.max() < 1
    assert patches.others(toys, "direction", {"data.density": 0.1}).values.shape == (1,)


def test_resampling_moves_linear_outputs_twice_as_far_as_the_mean(toys: Run) -> None:
    """The variance of a difference of two draws."""
    found = patches.ablation_ratio(toys, "resample", "mean").values
    assert found.mean() == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("p", [0.2, 1.0])
def test_zero_ablation_of_one_feature_is_a_matter_of_its_mean(p: float, tmp_path: Path) -> None:
    """E x² over Var x of a feature that is uniform with probability p."""
    words = [
        "model.n_features=1",
        "model.n_hidden=1",
        "model.output=linear",
        f"data.density={p}",
        "seed=0",
    ]
    run = superpos.train(
        [*words, "train.steps=300", "train.lr=0.01", "engine.threads=1"], out=tmp_path
    )
    found = patches.ablation_ratio(run, "zero", "mean").values
    assert found[0] == pytest.approx(1 / (1 - 3 * p / 4), rel=0.05)


def test_collateral_is_drawn_over_densities(outputs: Path) -> None:
    words = [
        "model.n_features=4",
        "model.n_hidden=2",
        "data.density=1,0.5,0.2,0.1",
        "seed=0",
        "train.steps=20",
    ]
    run = superpos.train([*words, "engine.threads=1", "name=four"], out=outputs)
    top, bottom = registry.draw(run, "collateral").axes
    by_label = {line.get_label(): line.get_ydata() for line in top.get_lines()}
    assert by_label["the input itself"] == pytest.approx([1] * 4)
    assert len(bottom.get_lines()) == 3
