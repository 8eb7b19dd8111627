"""Random numbers as pure functions of (seed, purpose, step, sample, feature): Philox4x32-10.

Salmon et al. 2011, *Parallel Random Numbers: As Easy as 1, 2, 3*, section 3.3. The key is the
64-bit seed, the counter is (sample // 4, feature, step, purpose): one call serves four consecutive
samples of a feature. Nothing here has state, so a draw never depends on how many models are trained
together, in which order, or on which machine.

A *purpose* is what a stream is for. Every kind of model names its own, in its own folder, in a
block of 32 that no other kind has: 0 to 31 toy models (tms), 32 to 63 autoencoders (sae), 64 to 95
transformers, 96 to 127 circuits and explanations; 128 to 255 are for families that do not ship with
superpos. The other bits of the word, 256 and above, number the streams of one purpose where it
needs several.

Shapes: M models, B samples, F features. 32-bit words travel in int64, where products wrap but low
and high words stay exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Words = TypeVar("Words", "torch.Tensor", NDArray[np.int64])

RANGE: Final = 2**32
"""Draws are integers from 0 to RANGE - 1."""
WORD: Final = RANGE - 1
MULTIPLIERS: Final = (0xD2511F53, 0xCD9E8D57)
WEYL: Final = (0x9E3779B9, 0xBB67AE85)


def philox4x32(counter: Sequence[Words], key: Sequence[Words]) -> list[Words]:
    """Ten rounds of Philox4x32 on broadcastable int64 words, of torch or numpy: 4 counters, 2 keys,
    4 results.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0 = c0 * MULTIPLIERS[0]
        p1 = c2 * MULTIPLIERS[1]
        c0 = ((p1 >> 32) & WORD) ^ c1 ^ k0
        c1 = p1 & WORD
        c2 = ((p0 >> 32) & WORD) ^ c3 ^ k1
        c3 = p0 & WORD
        k0 = (k0 + WEYL[0]) & WORD
        k1 = (k1 + WEYL[1]) & WORD
    return [c0, c1, c2, c3]


def key_words(seed: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Low and high word of 64-bit seeds."""
    seed = np.asarray(seed, dtype=np.uint64)
    return (seed & np.uint64(WORD)).astype(np.int64), (seed >> np.uint64(32)).astype(np.int64)


def draws(
    seed: NDArray[np.uint64],
    purpose: int | NDArray[np.int64],
    step: int,
    samples: range,
    n_features: int,
    device: str = "cpu",
) -> torch.Tensor:
    """32-bit words [M, B, F] (int64) for a contiguous range of samples; `purpose` may be one per
    model, [M].
    """
    import torch  # slow to import, and the fused engines do without

    quads = torch.arange(samples.start // 4, -(-samples.stop // 4), device=device)
    key = [torch.from_numpy(word).to(device)[:, None, None] for word in key_words(seed)]
    features = torch.arange(n_features, device=device)[None, None, :]
    last = torch.as_tensor(purpose, device=device).reshape(-1, 1, 1)
    counter = [quads[None, :, None], features, torch.tensor(step, device=device), last]
    shape = (len(seed), len(quads), n_features)
    # [M, Q, 4, F]
    words = torch.stack([word.expand(shape) for word in philox4x32(counter, key)], dim=2)
    first = samples.start % 4
    return words.flatten(1, 2)[:, first : first + len(samples)]


def thresholds(sparsity: NDArray[np.float64]) -> NDArray[np.int64]:
    """T = floor(S 2³²), of any shape: a draw u is at least T with probability 1 - S."""
    return np.floor(sparsity * float(RANGE)).astype(np.int64)


def normals(
    seed: NDArray[np.uint64], purpose: int, tensor: int, shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Standard normals [M, *shape], for initial weights; row i, column k is feature i, sample k of
    step `tensor`.

    By the inverse distribution function of (u + ½) / 2³², so that each number needs one draw of its
    own.
    """
    rows, columns = shape
    constants = [np.array([value], dtype=np.int64) for value in (tensor, purpose)]
    counter = [np.arange(-(-columns // 4)), np.arange(rows)[:, None], *constants]
    words = philox4x32(counter, [word[:, None, None] for word in key_words(seed)])  # 4 of [M, F, Q]
    flat = np.stack(words, axis=-1).reshape(len(seed), rows, -1)[..., :columns]
    return _normal_quantiles((flat.astype(np.float64) + 0.5) / float(RANGE))


def _normal_quantiles(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse distribution function; torch's, equal to 1e-15, where engines run without
    scipy.
    """
    try:
        # torch takes a second to import, and the fused engines do without
        from scipy.special import ndtri
    except ImportError:
        import torch

        found: NDArray[np.float64] = torch.special.ndtri(torch.from_numpy(p)).numpy()
        return found
    quantiles: NDArray[np.float64] = ndtri(p)
    return quantiles
