"""Philox4x32-10 against published vectors and a second implementation; layout, independence and
distribution.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from superpos.families.tms.purposes import Purpose
from superpos.maths.streams import draws, key_words, normals, philox4x32, thresholds

ALL = 0xFFFFFFFF

# Random123, examples/kat_vectors, "philox 4x32 10": counter, key, result.
VECTORS = [
    (
        "00000000 00000000 00000000 00000000",
        "00000000 00000000",
        "6627e8d5 e169c58d bc57ac4c 9b00dbd8",
    ),
    (
        "ffffffff ffffffff ffffffff ffffffff",
        "ffffffff ffffffff",
        "408f276d 41c83b0e a20bc7c6 6d5451fd",
    ),
    (
        "243f6a88 85a308d3 13198a2e 03707344",
        "a4093822 299f31d0",
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]


def words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


def philox_of_the_paper(counter: list[int], key: list[int]) -> list[int]:
    """Salmon et al. 2011, section 3.3, on Python's integers: a round maps L0 R0 L1 R1 by two
    multiplications.
    """
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * c0, 2**32)
        high1, low1 = divmod(0xCD9E8D57 * c2, 2**32)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return [c0, c1, c2, c3]


def expected_draw(seed: int, purpose: int, step: int, sample: int, feature: int) -> int:
    """The promise of the design: key = seed, counter = (sample // 4, feature, step, purpose), word
    sample % 4.
    """
    return philox_of_the_paper(
        [sample // 4, feature, step, purpose], [seed % 2**32, seed // 2**32]
    )[sample % 4]


def seeds(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.uint64)


@pytest.mark.parametrize(("counter", "key", "result"), VECTORS)
def test_philox_gives_the_published_vectors(counter: str, key: str, result: str) -> None:
    for array in (torch.tensor, np.array):
        given_words = [[array([word]) for word in words(text)] for text in (counter, key)]
        assert [int(word[0]) for word in philox4x32(*given_words)] == words(result)
    assert philox_of_the_paper(words(counter), words(key)) == words(result)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**64 - 1),
    purpose=st.sampled_from([*Purpose, Purpose.TRAIN + Purpose.SETS]),
    step=st.integers(0, 2**31 - 1),
    first=st.integers(0, 2**24),
    count=st.integers(1, 9),
)
def test_counter_layout(seed: int, purpose: int, step: int, first: int, count: int) -> None:
    found = draws(seeds(seed), purpose, step, range(first, first + count), 3)
    expected = [
        [expected_draw(seed, purpose, step, sample, feature) for feature in range(3)]
        for sample in range(first, first + count)
    ]
    assert found.shape == (1, count, 3)
    assert found[0].tolist() == expected


@pytest.mark.parametrize("first", range(5))
@pytest.mark.parametrize("count", [1, 2, 4, 7])
def test_a_range_may_start_and_end_anywhere(first: int, count: int) -> None:
    whole = draws(seeds(7), Purpose.TRAIN, 3, range(16), 5)
    part = draws(seeds(7), Purpose.TRAIN, 3, range(first, first + count), 5)
    assert torch.equal(part, whole[:, first : first + count])


def test_both_words_of_the_seed_count() -> None:
    low, high = key_words(seeds(0, 1, 2**32, 2**64 - 1))
    assert low.tolist() == [0, 1, 0, ALL]
    assert high.tolist() == [0, 0, 1, ALL]
    found = draws(seeds(0, 1, 2**32, 2**63, 2**64 - 1), Purpose.TRAIN, 0, range(64), 2).flatten(1)
    for one, other in itertools.combinations(found, 2):
        # 128 draws each: a common word has probability 4e-6
        assert not torch.isin(one, other).any()


def test_largest_counters_and_seed() -> None:
    found = draws(seeds(2**64 - 1), Purpose.EVALUATE, ALL, range(2**34 - 3, 2**34), 1)
    expected = [
        expected_draw(2**64 - 1, Purpose.EVALUATE, ALL, sample, 0)
        for sample in range(2**34 - 3, 2**34)
    ]
    assert found.flatten().tolist() == expected


def test_draws_do_not_depend_on_the_other_models_of_the_call() -> None:
    many = draws(seeds(5, 0, 2**64 - 1, 5), Purpose.TRAIN, 11, range(3, 20), 4)
    for i, seed in enumerate((5, 0, 2**64 - 1)):
        assert torch.equal(many[i], draws(seeds(seed), Purpose.TRAIN, 11, range(3, 20), 4)[0])
    assert torch.equal(many[0], many[3])


def test_draws_do_not_depend_on_the_number_of_features() -> None:
    wide = draws(seeds(3), Purpose.TRAIN, 2, range(10), 9)
    assert torch.equal(draws(seeds(3), Purpose.TRAIN, 2, range(10), 4), wide[..., :4])


def test_steps_features_samples_and_purposes_are_different_streams() -> None:
    everything = torch.stack(
        [draws(seeds(1), purpose, step, range(40), 5) for purpose in Purpose for step in range(3)]
    ).flatten()
    assert len(everything) == len(Purpose) * 3 * 40 * 5
    # 3600 draws: a repeat has probability 1e-3, and none is fixed
    assert len(everything.unique()) == len(everything)


def test_purposes_stay_apart_from_the_draws_of_sets() -> None:
    own = [int(purpose) for purpose in Purpose if purpose is not Purpose.SETS]
    shared = [purpose + Purpose.SETS for purpose in own]
    assert len({*own, *shared}) == 2 * len(own)


def test_purposes_keep_within_their_family_s_block() -> None:
    """0 to 31 are the toy models', also with what is added to a purpose."""
    added = (0, Purpose.SETS, Purpose.SPARSE)
    assert {
        purpose + more for purpose in Purpose for more in added if purpose not in added[1:]
    } <= set(range(32))


def test_a_draw_is_active_from_the_threshold_on() -> None:
    """floor(S 2^32): all draws at S = 0, the last 2^22 where 1 - S = 2^-10."""
    found = thresholds(np.array([[0.0, 0.5], [1 - 2.0**-10, 0.3]]))
    assert found.tolist() == [[0, 2**31], [2**32 - 2**22, 1288490188]]


def test_every_byte_is_uniform() -> None:
    found = draws(seeds(20), Purpose.TRAIN, 0, range(2**14), 4).flatten().numpy()
    for shift in (0, 8, 16, 24):
        counts = np.bincount((found >> shift) & 0xFF, minlength=256)
        assert stats.chisquare(counts).pvalue > 1e-3  # 65,536 draws in 256 cells, one fixed stream


def test_neighbouring_counters_are_uncorrelated() -> None:
    found = draws(seeds(20, 21), Purpose.TRAIN, 0, range(2**14), 2).double().numpy() / 2**32 - 0.5
    after = (
        draws(seeds(20), Purpose.TRAIN, 1, range(2**14), 1).double().numpy().ravel() / 2**32 - 0.5
    )
    here = found[0, :, 0]
    neighbours = {
        "feature": found[0, :, 1],
        "seed": found[1, :, 0],
        "sample": np.roll(here, 1),
        "quad": np.roll(here, 4),
        "step": after,
    }
    for name, there in neighbours.items():
        correlation = 12 * np.mean(here * there)  # the variance of a uniform number is 1/12
        assert abs(correlation) < 4 / 2**7, name  # standard error 1/sqrt(2^14)


def test_normals_are_normal() -> None:
    found = normals(seeds(4), Purpose.INIT, 0, (100, 200))
    assert stats.kstest(found.ravel(), "norm").pvalue > 1e-3
    assert np.isfinite(found).all()


@pytest.mark.parametrize("purpose", [Purpose.INIT, 200])
def test_a_normal_is_the_quantile_of_its_own_draw(purpose: int) -> None:
    found = normals(seeds(9, 2**64 - 1), purpose, 1, (3, 6))
    assert found.shape == (2, 3, 6)
    for model, seed in enumerate((9, 2**64 - 1)):
        for i, k in ((0, 0), (2, 5), (1, 3)):
            u = expected_draw(seed, purpose, 1, k, i)  # row i is the feature, column k the sample
            assert found[model, i, k] == pytest.approx(stats.norm.ppf((u + 0.5) / 2**32), rel=1e-12)


def test_normals_of_two_tensors_and_two_models_differ() -> None:
    found = [normals(seeds(1, 2), Purpose.INIT, tensor, (4, 4)) for tensor in (0, 1)]
    assert len(np.unique(np.stack(found))) == 2 * 2 * 16
