"""Paths with attention as it is, sequences of other kinds, what is learned first: on models made by
hand and on laws written down.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_transformer_metrics import repeats_of

import superpos
from superpos.families.transformer.analysis import paths
from superpos.families.transformer.analysis.markov import icl_score
from superpos.families.transformer.analysis.triggers import half_at
from superpos.families.transformer.counts import asked, asked_of
from superpos.families.transformer.data.languages import Sequences, sequences, strayed
from superpos.families.transformer.figures import attention, orders, skip_trigrams, triggers
from superpos.families.transformer.structure import Structure
from superpos.families.transformer.theory.floors import switched_bigrams
from superpos.families.transformer.theory.laws import law

TEXTBOOK = ("induction_k", "induction_q")
CARRIED = {"induction_k": 0.0, "induction_q": 0.0, "shifted": 1.0}
"""What removing the first layer costs with all patterns kept, over what it costs."""


@pytest.mark.parametrize("name", CARRIED)
def test_only_values_compose_along_a_path(name: str) -> None:
    """In models made by hand exactly: no virtual head in K and Q, nothing else in the shifted
    one.
    """
    model = superpos.known(name, tokens=16, context=24, gain=20.0)
    task = repeats_of(model)
    given = asked(task, 0, 64)
    found = paths.orders(task, model.weights, given)
    whole = given.excess(torch.from_numpy(model.logits(given.tokens[:, :-1]))[None])
    assert found["any number"] == pytest.approx(whole, abs=1e-9)
    assert found["none"] > 2
    if name in TEXTBOOK:
        assert found["at most one"] == found["any number"]
    else:
        assert found["at most one"] == pytest.approx(found["none"], abs=1e-9)
    cost, kept = paths.first_layer(task, model.weights, given)
    assert cost > 2
    assert kept / cost == pytest.approx(CARRIED[name], abs=1e-6)


def test_values_that_say_nothing_stand_after_each_pair() -> None:
    """Two keys, three values, BOS is 5; cut to as many pairs as fit."""
    s = Structure(kind="pairs", keys=2, values=3, context=8)
    tokens = torch.tensor([[[5, 0, 3, 1, 2, 0, 3, 1, 2]]])
    pairs = Sequences(tokens, tokens[..., 1:] >= 0, tokens[..., 1:] >= 0)
    words = torch.tensor([[[0, 2**32 - 1]]])
    found = strayed(s, pairs, words)
    assert found.tokens.tolist() == [[[5, 0, 3, 2, 1, 2, 4]]]
    assert not found.determined.any()
    long = Structure(kind="pairs", keys=2, values=3, context=10)
    words = torch.tensor([[[0, 2**31, 0]]])
    longer = strayed(long, Sequences(tokens, *pairs[1:]), words)
    assert longer.tokens.tolist() == [[[5, 0, 3, 2, 1, 2, 3, 0, 3, 2]]]
    assert longer.determined[0, 0].nonzero().flatten().tolist() == [7]
    known = law(long, {}, longer.tokens[0].numpy())
    assert known[0, 7].tolist() == [0, 0, 0, 1, 0, 0]


@pytest.mark.parametrize("name", TEXTBOOK)
def test_textbook_models_take_no_notice_of_strays(name: str) -> None:
    """They attend to what followed the copy, whatever stands after that."""
    s = Structure(kind="pairs", keys=8, values=8, context=24)
    model = superpos.known(name, tokens=16, context=24, gain=20.0)
    task = replace(repeats_of(model), structure=s)
    words = torch.from_numpy(np.random.default_rng(0).integers(0, 2**32, (1, 64, 40)))
    given = asked_of(task, strayed(s, sequences(s, {}, words), words[..., 20:]))
    logits = torch.from_numpy(model.logits(given.tokens[:, :-1]))[None]
    assert given.where.sum() > 100
    assert given.excess(logits) < 0.01
    nothing = model.logits(given.tokens[:, :-1], {"1.0": torch.zeros(())})
    assert given.excess(torch.from_numpy(nothing)[None]) > 2


def test_who_knows_the_token_alone_by_monte_carlo() -> None:
    s = Structure(kind="conditional", tokens=5, context=6, planted_p=0.9)
    order = np.array([2, 0, 4, 1, 3])
    words = torch.from_numpy(np.random.default_rng(1).integers(0, 2**32, (1, 40_000, 15)))
    tokens = sequences(s, {"next": torch.from_numpy(order)[None]}, words).tokens[0].numpy()
    known = law(s, {"next": order}, tokens)[:, 1:]
    here = tokens[:, 1:-1]
    mixed = np.stack([known[here == token].mean(0) for token in range(5)])
    guess = mixed[here]
    used = known > 0
    excess = np.where(used, known * np.log(np.where(used, known, 1) / guess.clip(1e-12)), 0)
    assert excess.sum(-1).mean() == pytest.approx(switched_bigrams(s), rel=0.02)


def test_half_of_the_excess_is_gone() -> None:
    steps = np.array([0, 20, 40, 60])
    assert half_at(steps, np.array([2.0, 1.5, 0.9, 0.1])) == 40
    assert half_at(steps, np.array([2.0, 1.5, 1.2, 1.0])) == np.inf


def test_attention_beside_copies_by_hand() -> None:
    """Tokens 0 1 0 1: the latest copies of positions 2 and 3 are 0 and 1."""
    tokens = np.array([[0, 1, 0, 1]])
    pattern = np.zeros((1, 4, 4))
    pattern[0, 2] = [0.25, 0.75, 0, 0]  # the copy, one after it
    pattern[0, 3] = [0, 0.5, 0.25, 0.25]  # the copy, one after it, two after it
    where = np.array([[False, False, True, True]])
    found = attention.by_copy(pattern, tokens, where)
    np.testing.assert_allclose(found, [0, 0.375, 0.5, 0.125, 0])
    back = attention.by_offset(pattern)
    np.testing.assert_allclose(back[:3], [0.25 / 4, (0.75 + 0.25) / 3, (0.25 + 0.5) / 2])


def test_what_figures_show() -> None:
    lines = np.array([[2.0, 0.0, 0.0], [2.0, 0.1, 0.0]])
    figure = orders.diagram({"induction": lines, "shifted": lines[:1]})
    assert figure.axes[0].get_legend_handles_labels()[1] == ["induction (2)", "shifted (1)"]
    looks = attention.Looks(np.full(6, 0.1), np.full(5, 0.2))
    bars = attention.diagram({"induction": looks, "mixed": looks}).axes
    assert [bar.get_height() for bar in bars[1].containers[0]] == [0.2] * 5
    steps = np.array([0, 10, 100])
    drawn = triggers.diagram(steps, {"1 layer": {"after": lines}, "2 layers": {"after": lines}})
    assert [axes.get_title() for axes in drawn.axes] == ["1 layer", "2 layers"]
    planted = np.array([[1, -1], [-1, 0]])
    read = np.zeros((2, 2, 2))
    read[0, 0, 1] = read[1, 1, 0] = 0.9
    naive = np.zeros((2, 2, 2))
    naive[0, 0, 1] = naive[0, 1, 1] = 3.0
    maps = skip_trigrams.diagram(planted, read, naive).axes
    assert [axes.get_title() for axes in maps[:3]] == [
        "planted",
        "through the softmax: 100% planted",
        "QK × OV: 50% planted",
    ]
    rings = maps[2].lines[0].get_xydata()
    assert np.asarray(rings).tolist() == [[1, 0]]


def test_the_score_of_learning_in_context() -> None:
    """Certain of all but positions 4 to 7, where it is a guess of two: log 2 lower at the end."""
    s = Structure(kind="markov", states=2, context=12)
    task = replace(repeats_of(superpos.known("induction_k", context=24)), structure=s)
    given = asked(task, 0, 8)
    came = np.eye(2)[given.tokens[:, 1:]]
    p = came.copy()
    p[:, 4:8] = 0.5
    assert icl_score(given, np.log(p.clip(1e-12))) == pytest.approx(-np.log(2))
