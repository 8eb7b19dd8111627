"""Languages of transformers: sequences as functions of random words, the law of every next token,
exact floors.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from superpos.families.transformer.data.languages import Sequences, n_words, sequences
from superpos.families.transformer.data.tables import (
    chain,
    law_of,
    stationary,
    tables,
    thresholds_of,
)
from superpos.families.transformer.keys import CONTEXT, KINDS, PLANTED_P, TOKENS
from superpos.families.transformer.structure import Structure
from superpos.families.transformer.theory import floors, laws
from superpos.maths.streams import RANGE, draws

STRUCTURES = {
    **{
        kind: Structure(
            kind=kind,  # type: ignore[arg-type]
            tokens=TOKENS.get(kind, 16),
            context=CONTEXT[kind],
            planted_p=PLANTED_P.get(kind, 0.8),
        )
        for kind in KINDS
    },
    "distinct": Structure(kind="repeats", distinct=True, context=24),
}


def made(structure: Structure, seed: int = 0) -> dict[str, NDArray[Any]]:
    """The tables of one language."""
    return {name: value[0] for name, value in tables(structure, [(seed, 1.0)]).items()}


def drawn(structure: Structure, samples: int = 400, seed: int = 5, language: int = 0) -> Sequences:
    """Sequences of one model and language."""
    words = draws(np.array([seed], dtype=np.uint64), 72, 0, range(samples), n_words(structure))
    found = {
        name: torch.from_numpy(value)[None] for name, value in made(structure, language).items()
    }
    return sequences(structure, found, words)


def tokens_of(structure: Structure, samples: int = 400) -> NDArray[np.int64]:
    return drawn(structure, samples).tokens[0].numpy()


@pytest.mark.parametrize("name", STRUCTURES)
def test_a_sequence_has_one_token_more_than_positions(name: str) -> None:
    s = STRUCTURES[name]
    found = drawn(s)
    assert found.tokens.shape == (1, 400, s.context + 1)
    assert found.trained.shape == found.determined.shape == (1, 400, s.context)
    assert found.tokens.min() >= 0
    assert found.tokens.max() < s.vocabulary
    assert not (found.determined & ~found.trained).any()


@pytest.mark.parametrize("name", STRUCTURES)
def test_a_sequence_is_a_function_of_its_own_words(name: str) -> None:
    s = STRUCTURES[name]
    whole = drawn(s, 40).tokens
    words = draws(np.array([5], dtype=np.uint64), 72, 0, range(17, 18), n_words(s))
    found = {key: torch.from_numpy(value)[None] for key, value in made(s).items()}
    assert torch.equal(sequences(s, found, words).tokens[0, 0], whole[0, 17])


@pytest.mark.parametrize("name", STRUCTURES)
def test_laws_are_what_is_drawn(name: str) -> None:
    """Where a law says p, a share p follows; over 20 000 positions, by tenths."""
    s = STRUCTURES[name]
    tokens = tokens_of(s, 1500)
    law = laws.law(s, made(s), tokens)
    np.testing.assert_allclose(law.sum(-1), 1, atol=1e-12)
    asked = drawn(s, 1500).trained[0].numpy()
    came = np.eye(s.vocabulary)[tokens[:, 1:]][asked]
    said = law[asked]
    for low in np.arange(0, 1.01, 0.1):
        there = (said >= low) & (said < low + 0.1)
        if there.sum() > 200:
            p = said[there]
            error = 5 * np.sqrt((p * (1 - p)).sum()) + 1e-9
            assert abs(came[there].sum() - p.sum()) <= error


def test_pairs_by_hand() -> None:
    tokens = tokens_of(STRUCTURES["pairs"])
    found = drawn(STRUCTURES["pairs"])
    assert (tokens[:, 0] == 16).all()
    keys, values = tokens[:, 1::2], tokens[:, 2::2]
    assert (keys < 8).all()
    assert ((values >= 8) & (values < 16)).all()
    for row in range(50):
        known: dict[int, int] = {}
        for i, (key, value) in enumerate(zip(keys[row], values[row], strict=True)):
            assert known.get(int(key), value) == value
            assert found.determined[0, row, 1 + 2 * i] == (int(key) in known)
            known[int(key)] = int(value)
    assert not found.determined[0, :, ::2].any()
    assert found.trained.all()


def test_repeats_by_hand() -> None:
    for name in ("repeats", "distinct"):
        s = STRUCTURES[name]
        found = drawn(s)
        lengths = (~found.determined[0]).sum(-1).numpy() - 1
        assert set(lengths) == set(range(6, 13))
        for tokens, length in zip(found.tokens[0].numpy(), lengths, strict=True):
            body = tokens[1:]
            assert tokens[0] == 16
            np.testing.assert_array_equal(body[length:], body[:-length])
            assert s.distinct <= (len(set(body[:length])) == length)


def test_sources_by_hand() -> None:
    for name in ("source", "latin"):
        s, found = STRUCTURES[name], drawn(STRUCTURES[name])
        follows = made(s)["next"]
        tokens = found.tokens[0].numpy()
        assert ((tokens >= s.tokens).sum(1) == 1).all()
        places = (tokens >= s.tokens).argmax(1)
        assert set(places) == set(range(12))
        np.testing.assert_array_equal(found.trained[0].sum(-1).numpy(), 23 - places)
        planted, kept = 0, 0
        for row, place in zip(tokens, places, strict=True):
            for t in range(place + 1, s.context):
                fixed = follows[row[place] - s.tokens, row[t]]
                planted += fixed >= 0
                kept += fixed >= 0 and fixed == row[t + 1]
        expected = 0.8 + 0.2 / s.tokens
        assert abs(kept / planted - expected) < 5 * np.sqrt(expected * (1 - expected) / planted)
    assert (made(STRUCTURES["latin"])["next"][3] == (np.arange(8) + 3) % 8).all()
    triples = made(STRUCTURES["source"])["next"]
    assert ((triples >= 0).sum(1) == 6).all()
    assert all(len(set(row[row >= 0])) <= 6 for row in triples)


def test_conditional_by_hand() -> None:
    s, found = STRUCTURES["conditional"], drawn(STRUCTURES["conditional"], 2000)
    follows, tokens = made(s)["next"], found.tokens[0].numpy()
    assert sorted(follows) == list(range(16))
    present = tokens[:, 0] == 16
    assert 0.45 < present.mean() < 0.55
    assert (tokens[:, 1:] < 16).all()
    kept = follows[tokens[:, 1:-1]] == tokens[:, 2:]
    assert abs(kept[present].mean() - (0.9 + 0.1 / 16)) < 0.01
    assert abs(kept[~present].mean() - 1 / 16) < 0.01
    assert not found.trained[0, :, 0].any()


def test_triggers_by_hand() -> None:
    s, found = STRUCTURES["triggers"], drawn(STRUCTURES["triggers"])
    for tokens, seen in zip(found.tokens[0].numpy(), found.determined[0].numpy(), strict=True):
        known: dict[int, int] = {}
        for t in range(s.context):
            here, ahead = int(tokens[t]), int(tokens[t + 1])
            assert seen[t] == (here in known)
            if here < 4:
                assert ahead >= 4
                assert known.setdefault(here, ahead) == ahead


def test_markov_rows_are_uniform_on_the_simplex() -> None:
    """Of Dirichlet(1) rows of 4 states, two steps from one state go to the same with probability
    2/5.
    """
    s = Structure(kind="markov", context=2, states=4)
    words = draws(np.array([1], dtype=np.uint64), 72, 0, range(40_000), n_words(s))
    tokens = sequences(s, {}, words).tokens[0].numpy()
    stayed = tokens[:, 1] == tokens[:, 0]
    assert abs((tokens[stayed, 2] == tokens[stayed, 0]).mean() - 2 / 5) < 0.02
    assert abs(stayed.mean() - 1 / 4) < 0.01


def test_thresholds_mean_their_law() -> None:
    law = np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]])
    found = thresholds_of(law)
    assert found.tolist() == [[RANGE // 2, 3 * RANGE // 4, RANGE], [0, RANGE, RANGE]]
    np.testing.assert_array_equal(law_of(found), law)


def test_a_chain_keeps_its_law() -> None:
    P = chain(STRUCTURES["chain"], 3, 1.0)
    law = stationary(P)
    np.testing.assert_allclose(law @ P, law, atol=1e-12)
    sharp, flat = (np.max(chain(STRUCTURES["chain"], 3, c), axis=1).mean() for c in (0.1, 100.0))
    assert sharp > 0.5
    assert flat < 0.1


def test_languages_follow_from_their_seed() -> None:
    s = STRUCTURES["source"]
    assert (made(s, 1)["next"] != made(s, 2)["next"]).any()
    both = tables(s, [(1, 1.0), (2, 1.0)])["next"]
    np.testing.assert_array_equal(both[1], made(s, 2)["next"])


# --- laws -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("distinct", [False, True])
def test_bayes_over_the_period_by_enumeration(distinct: bool) -> None:
    """All blocks of 2 or 3 of 3 tokens, each as likely as its length and its tokens are."""
    s = Structure(kind="repeats", tokens=3, context=5, period=(2, 3), distinct=distinct)
    whole: dict[tuple[int, ...], float] = {}
    for length in (2, 3):
        every = (
            itertools.permutations(range(3), length)
            if distinct
            else itertools.product(range(3), repeat=length)
        )
        blocks = list(every)
        for block in blocks:
            body = tuple(block[i % length] for i in range(5))
            whole[body] = whole.get(body, 0.0) + 0.5 / len(blocks)
    tokens = np.array([(3, *body) for body in whole])
    law = laws.law(s, {}, tokens)
    for row, body in enumerate(whole):
        for t in range(5):
            alike = {other: p for other, p in whole.items() if other[:t] == body[:t]}
            for token in range(3):
                expected = sum(p for other, p in alike.items() if other[t] == token) / sum(
                    alike.values()
                )
                assert law[row, t, token] == pytest.approx(expected, abs=1e-12)


def test_markov_laws_by_hand() -> None:
    s = Structure(kind="markov", context=4, states=2)
    tokens = np.array([[0, 0, 1, 0, 1]])
    law = laws.law(s, {}, tokens)[0]
    # 0→: none; 0; 1→: none; 0→: 0, 1
    np.testing.assert_allclose(law[:, 0], [1 / 2, 2 / 3, 1 / 2, 1 / 2])
    np.testing.assert_allclose(laws.unigram(s, tokens)[0][:, 0], [2 / 3, 3 / 4, 3 / 5, 4 / 6])


def test_divergence_and_entropy_by_hand() -> None:
    p = np.array([0.5, 0.5, 0.0])
    assert laws.entropy(p) == pytest.approx(np.log(2))
    assert laws.divergence(p, np.log([0.25, 0.5, 0.25])) == pytest.approx(0.5 * np.log(2))
    assert laws.divergence(p, np.array([*np.log([0.5, 0.5]), -np.inf])) == 0


# --- floors ---------------------------------------------------------------------------------------


def test_the_entropy_rate_is_the_mean_over_sequences() -> None:
    s = STRUCTURES["chain"]
    law = laws.law(s, made(s), tokens_of(s, 3000))
    assert floors.entropy_rate(made(s)) == pytest.approx(float(laws.entropy(law).mean()), abs=2e-3)


def test_the_latin_square_cannot_be_added_up() -> None:
    """Each table alone says nothing: log 8 exactly; the floor is the entropy of 0.825 and seven
    times 0.025.
    """
    s = STRUCTURES["latin"]
    there = floors.occupancy(s, made(s))
    floor = -0.825 * np.log(0.825) - 7 * 0.025 * np.log(0.025)
    assert floors.bayes(there) == pytest.approx(floor, abs=1e-12)
    assert floors.bigrams(there) == pytest.approx(np.log(8), abs=1e-12)
    assert floors.additive(there).loss == pytest.approx(np.log(8), abs=1e-9)


def test_occupancy_is_what_is_drawn() -> None:
    s = STRUCTURES["source"]
    there = floors.occupancy(s, made(s))
    tokens, asked = tokens_of(s, 12_000), drawn(s, 12_000).trained[0].numpy()
    source = tokens.max(1)[:, None] - s.tokens
    pair = (source * s.tokens + np.minimum(tokens[:, :-1], s.tokens - 1))[asked]
    counts = np.bincount(pair, minlength=8 * 24).reshape(8, 24)
    expected = there.often / there.often.sum(1, keepdims=True)
    assert np.abs(counts / counts.sum(1, keepdims=True) - expected).max() < 0.02
    law = laws.law(s, made(s), tokens)[asked]
    assert floors.bayes(there) == pytest.approx(float(laws.entropy(law).mean()), abs=5e-3)


def test_the_additive_optimum_lies_between_bigrams_and_the_floor() -> None:
    s = STRUCTURES["source"]
    there = floors.occupancy(s, made(s))
    best = floors.additive(there)
    assert 0.24 < best.loss - floors.bayes(there) < 0.31
    assert best.loss < floors.bigrams(there) - 0.05
    # A convex optimum: what is predicted of each token, and of each source, is what comes on
    # average.
    wrong = there.often[..., None] * (best.probabilities - there.follows)
    assert np.abs(wrong.sum(0)).max() < 1e-7
    assert np.abs(wrong.sum(1)).max() < 1e-7
