"""The forward pass of attention-only transformers, and transformers made by hand."""

from __future__ import annotations

import math
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from places import SUPPORT
from referees import python_with

import superpos
from superpos.errors import ConfigError
from superpos.maths import attention, hand_made
from superpos.maths.attention import forward

pytestmark = pytest.mark.slow

REFEREE = python_with("transformer_lens")


def drawn(
    models: int = 3,
    layers: int = 2,
    n_heads: int = 2,
    positions: attention.Positions = "none",
    smear: bool = False,
    dtype: torch.dtype = torch.float64,
) -> dict[str, torch.Tensor]:
    """Random weights: 5 tokens, 6 positions, d 8, k 3."""
    V, T, d, k = 5, 6, 8, 3
    stack = (models, layers, n_heads)
    shapes = {"W_E": (models, V, d), "W_U": (models, d, V)}
    if positions in ("stream", "scores", "pointer"):
        shapes["W_pos"] = (models, T, d)
    if layers:
        shapes |= {f"W_{name}": (*stack, d, k) for name in "QKV"}
        shapes["W_O"] = (*stack, k, d)
        if positions == "relative":
            shapes["W_rel"] = (*stack, T)
        if smear:
            shapes["smear"] = stack
    rng = np.random.default_rng(0)
    return {
        name: torch.from_numpy(rng.normal(size=shape) / 2).to(dtype)
        for name, shape in shapes.items()
    }


def sequences(models: int = 3, batch: int = 4, length: int = 6) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).integers(0, 5, (models, batch, length)))


EVERY = [(positions, smear) for positions in attention.POSITIONS for smear in (False, True)]


def by_loops(
    params: dict[str, torch.Tensor],
    tokens: NDArray[np.int64],
    positions: str,
    direct: bool,
) -> NDArray[np.float64]:
    """Logits of one model and sequence [T, V], one number after another, as the definition
    reads.
    """
    p = {name: value.numpy() for name, value in params.items()}
    T = len(tokens)
    E, P = p["W_E"][tokens], p["W_pos"][:T] if "W_pos" in p else np.zeros((T, p["W_E"].shape[1]))
    stream = E + (P if positions in ("stream", "pointer") else 0)
    x = stream.copy()
    for layer in range(len(p["W_Q"]) if "W_Q" in p else 0):
        written = np.zeros_like(x)
        for h in range(p["W_Q"].shape[1]):
            scored = x + P if positions == "scores" else x
            scored = x - P if positions == "pointer" and layer == 0 else scored
            q, k, v = (
                scored @ p["W_Q"][layer, h],
                scored @ p["W_K"][layer, h],
                x @ p["W_V"][layer, h],
            )
            if "smear" in p:
                own = 1 / (1 + math.exp(-p["smear"][layer, h]))
                k = np.array([own * k[j] + (1 - own) * k[max(j - 1, 0)] for j in range(T)])
            for i in range(T):
                score = np.array([q[i] @ k[j] / math.sqrt(q.shape[1]) for j in range(i + 1)])
                if positions == "relative":
                    score += [p["W_rel"][layer, h, i - j] for j in range(i + 1)]
                weight = np.exp(score) / np.exp(score).sum()
                written[i] += weight @ v[: i + 1] @ p["W_O"][layer, h]
        x = x + written
    return (x if direct else x - stream) @ p["W_U"]


@pytest.mark.parametrize(("positions", "smear"), EVERY)
@pytest.mark.parametrize(("layers", "direct"), [(0, True), (1, False), (2, True), (3, True)])
def test_logits_are_those_of_the_definition(
    positions: attention.Positions, smear: bool, layers: int, direct: bool
) -> None:
    params, tokens = drawn(2, layers, 2, positions, smear), sequences(2)
    logits, _ = forward(params, tokens, positions=positions, direct=direct)
    for m in range(2):
        own = {name: value[m] for name, value in params.items()}
        for b in range(4):
            expected = by_loops(own, tokens[m, b].numpy(), positions, direct)
            np.testing.assert_allclose(logits[m, b].numpy(), expected, rtol=0, atol=1e-11)


def test_a_head_by_hand() -> None:
    """Two tokens, one dimension: scores 0 and log 3, so that the second token gets ¼ and ¾."""
    log3 = math.log(3)
    params = {
        "W_E": torch.tensor([[[0.0], [1.0]]]),
        "W_Q": torch.tensor([[[[[log3]]]]]),
        "W_K": torch.ones(1, 1, 1, 1, 1),
        "W_V": torch.full((1, 1, 1, 1, 1), 4.0),
        "W_O": torch.ones(1, 1, 1, 1, 1),
        "W_U": torch.tensor([[[1.0, 0.0]]]),
    }
    logits, parts = forward(params, torch.tensor([[0, 1]]))
    torch.testing.assert_close(parts["0.0:pattern"][0, 0], torch.tensor([[1, 0], [0.25, 0.75]]))
    assert parts["0.0"][0, 0, :, 0].tolist() == pytest.approx([0, 3])
    assert logits[0, 0, :, 0].tolist() == pytest.approx([0, 4])


@pytest.mark.parametrize(("positions", "smear"), EVERY)
def test_values_put_in_their_own_place_change_nothing(
    positions: attention.Positions, smear: bool
) -> None:
    params, tokens = drawn(positions=positions, smear=smear), sequences()
    logits, parts = forward(params, tokens, positions=positions)
    assert list(parts) and set(parts) == set(attention.parts(2, 2, positions))
    same = {name: value.clone() for name, value in parts.items()}
    same |= {edge: parts[edge.partition("->")[0]] for edge in attention.edges(2, 2, positions)}
    for name, value in same.items():
        again, _ = forward(params, tokens, positions=positions, replace={name: value})
        assert torch.equal(again, logits), name
    assert torch.equal(forward(params, tokens, positions=positions, replace=same)[0], logits)


@pytest.mark.parametrize("positions", attention.POSITIONS)
def test_every_part_and_edge_is_read(positions: attention.Positions) -> None:
    params, tokens = drawn(positions=positions), sequences()
    logits, parts = forward(params, tokens, positions=positions)
    for name in [*parts, *attention.edges(2, 2, positions)]:
        put = {name: torch.tensor(0.25)}
        assert not torch.equal(
            forward(params, tokens, positions=positions, replace=put)[0], logits
        ), name


def test_an_edge_changes_one_reader_alone() -> None:
    params, tokens = drawn(), sequences()
    _, parts = forward(params, tokens)
    _, after = forward(params, tokens, replace={"0.1->1.0:k": torch.tensor(0.0)})
    changed = {name for name, value in parts.items() if not torch.equal(after[name], value)}
    assert changed == {"1.0:k", "1.0:pattern", "1.0"}
    expected = (parts["embed"] + parts["0.0"]) @ params["W_K"][:, None, 1, 0]
    torch.testing.assert_close(after["1.0:k"], expected)


def test_all_edges_of_a_writer_together_are_the_writer() -> None:
    params, tokens = drawn(positions="stream"), sequences()
    zero = torch.tensor(0.0)
    whole, _ = forward(params, tokens, positions="stream", replace={"0.1": zero})
    edges = {edge: zero for edge in attention.edges(2, 2, "stream") if edge.startswith("0.1->")}
    assert len(edges) == 7
    torch.testing.assert_close(forward(params, tokens, positions="stream", replace=edges)[0], whole)


def test_without_the_direct_path_logits_read_heads_alone() -> None:
    assert attention.writers("logits", 1, 2, "stream", direct=False) == ["0.0", "0.1"]
    assert attention.writers("logits", 0, 0, "scores") == ["embed"]
    assert attention.writers("0.0:q", 1, 1, "pointer") == ["embed"]
    assert attention.writers("0.0:v", 1, 1, "pointer") == ["embed", "pos"]
    assert attention.writers("1.0:q", 2, 1, "pointer") == ["embed", "pos", "0.0"]


@pytest.mark.parametrize("name", ["2.0", "0.0->0.0:k", "0.0:x", "pos", "1.0->0.0:q", "0.0->embed"])
def test_unknown_parts_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"replace: got .* allowed: embed, 0\.0:q"):
        forward(drawn(), sequences(), replace={name: torch.tensor(0.0)})


@pytest.mark.parametrize(("positions", "smear"), EVERY)
def test_gradients_are_those_of_differences(positions: attention.Positions, smear: bool) -> None:
    params = {
        name: value.requires_grad_()
        for name, value in drawn(1, positions=positions, smear=smear).items()
    }
    tokens = sequences(1, 1, 4)

    def loss(*values: torch.Tensor) -> torch.Tensor:
        return (
            forward(dict(zip(params, values, strict=True)), tokens, positions=positions)[0]
            .logsumexp(-1)
            .sum()
        )

    assert torch.autograd.gradcheck(loss, tuple(params.values()), atol=1e-5)


@pytest.mark.parametrize(("positions", "smear"), EVERY)
def test_bits_do_not_depend_on_models_beside(positions: attention.Positions, smear: bool) -> None:
    params = drawn(7, positions=positions, smear=smear, dtype=torch.float32)
    tokens = sequences(7)

    def gradients(rows: slice) -> list[torch.Tensor]:
        own = {name: value[rows].clone().requires_grad_() for name, value in params.items()}
        logits, _ = forward(own, tokens[rows], positions=positions)
        return [
            logits.detach(),
            *torch.autograd.grad(logits.logsumexp(-1).sum(), list(own.values())),
        ]

    together = gradients(slice(None))
    for m in (0, 3, 6):
        for alone, among in zip(gradients(slice(m, m + 1)), together, strict=True):
            assert torch.equal(alone[0], among[m])


# --- by hand --------------------------------------------------------------------------------------


def followers(tokens: NDArray[np.int64], V: int, back: int) -> NDArray[np.float64]:
    """Share of each token among followers of earlier copies at least `back` positions ago, [T, V];
    NaN of none.
    """
    shares = np.full((len(tokens), V), np.nan)
    for i in range(1, len(tokens)):
        found = [tokens[j + 1] for j in range(1, i - back + 1) if tokens[j] == tokens[i]]
        if found:
            shares[i] = np.bincount(found, minlength=V) / len(found)
    return shares


def random_sequences(batch: int = 60, tokens: int = 10, context: int = 24) -> NDArray[np.int64]:
    drawn_ = np.random.default_rng(2).integers(0, tokens, (batch, context))
    drawn_[:, 0] = tokens
    return drawn_


@pytest.mark.parametrize(
    ("name", "back", "errors"),
    [
        ("induction_k", 1, {10: 8e-3, 20: 5e-5, 40: 3e-9, 80: 2.3e-16}),
        ("induction_q", 1, {10: 8e-3, 20: 5e-5, 40: 3e-9, 80: 2.3e-16}),
        ("shifted", 2, {10: 2e-2, 20: 1e-4, 40: 5e-9, 80: 2.3e-16}),
    ],
)
def test_induction_by_hand_gives_the_share_of_each_follower(
    name: str, back: int, errors: dict[int, float]
) -> None:
    tokens = random_sequences()
    shares = np.array([followers(row, 11, back) for row in tokens])
    known = np.isfinite(shares).all(-1)
    for scale, error in errors.items():
        model = superpos.known(name, tokens=10, context=24, scale=scale)
        given = model.logits(tokens) / model.gain
        assert np.abs(given - shares)[known].max() <= error
        assert np.abs(given[~known]).max() <= 50 * error  # no follower is known: every logit is 0
    if name == "induction_k":
        sharp = superpos.known(name, tokens=10, context=24, scale=10)
        # e⁻⁵, what BOS gets of attention
        assert np.abs(sharp.logits(tokens) / 10 - shares)[known].max() > 6e-3


@pytest.mark.parametrize("scale", [10.0, 80.0])
@pytest.mark.parametrize("name", hand_made.MADE)
def test_what_does_not_matter_is_exactly_zero(name: str, scale: float) -> None:
    model = superpos.known(name, tokens=10, context=24, scale=scale)
    tokens, (layers, n_heads) = random_sequences(20), attention.sizes(model.params)
    logits = model.logits(tokens)
    edges = attention.edges(layers, n_heads, model.positions)
    matter = [edge for edge in edges if (model.logits(tokens, {edge: 0.0}) != logits).any()]
    assert set(matter) == set(model.truth.edges)
    heads = attention.heads(layers, n_heads)
    assert (
        tuple(head for head in heads if (model.logits(tokens, {head: 0.0}) != logits).any())
        == model.truth.parts
    )


def test_truth_says_which_paths_matter() -> None:
    paths = {
        name: [into for into in ("q", "k", "v", "logits") if superpos.known(name).truth.path(into)]
        for name in hand_made.MADE
    }
    assert paths == {
        "induction_k": ["k"],
        "induction_q": ["q"],
        "shifted": ["k", "v"],
        "conditional": ["logits"],
    }


def test_without_its_path_an_induction_head_knows_nothing() -> None:
    """Every token is as likely as any other: log 11 nats."""
    tokens = random_sequences()
    for name, into in (("induction_k", "k"), ("induction_q", "q")):
        model = superpos.known(name, tokens=10)
        without = model.logits(tokens, {f"0.0->1.0:{into}": 0.0})
        assert np.abs(without).max() < 1e-15 * model.gain


def test_the_conditional_model_knows_its_language() -> None:
    """Divergence from the law: 1.6e-3, 7e-8 and 0 at scores 5, 10 and 20."""
    n, rng = 16, np.random.default_rng(3)
    anything = np.append(np.full(n, 1 / n), 0.0)
    for scale, most in ((5.0, 3e-3), (10.0, 3e-6), (20.0, 1e-12)):
        model = superpos.known("conditional", tokens=n, scale=scale)
        for present in (True, False):
            tokens = rng.integers(0, n, 24)
            tokens[0] = n if present else tokens[0]
            law = np.tile(anything, (24, 1))
            if present:
                law[1:] *= 0.1
                law[np.arange(1, 24), (tokens[1:] + 1) % n] += 0.9
            ratio = np.log(np.where(law > 0, law, 1) / model.probabilities(tokens))
            assert abs((law * ratio).sum(-1).mean()) < most


def test_a_model_is_shown_without_its_arrays() -> None:
    shown = repr(superpos.known("induction_k"))
    assert shown.startswith("HandMade(name='induction_k', tokens=16, context=24,")
    assert "0.0->1.0:k" in shown
    assert "array" not in shown


def test_probabilities_have_the_shape_of_the_tokens() -> None:
    model = superpos.known("induction_k", tokens=10)
    tokens = random_sequences(4)
    assert model.probabilities(tokens).shape == (4, 24, 11)
    assert model.probabilities(tokens[0, :5]).shape == (5, 11)
    np.testing.assert_allclose(model.probabilities(tokens).sum(-1), 1)
    np.testing.assert_array_equal(model.probabilities(tokens[1]), model.probabilities(tokens)[1])
    assert model.weights["W_Q"].shape == (2, 1, 57, 24)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"name": "induction"},
            "known: got 'induction'; allowed: induction_k, induction_q, shifted, conditional",
        ),
        ({"tokens": 1}, "tokens: got 1; allowed: integers from 2 to 4096"),
        ({"tokens": 2.5}, r"tokens: got 2\.5; allowed: integers"),
        ({"context": True}, "context: got True; allowed: integers from 3"),
        ({"scale": 0}, "scale: got 0; allowed: numbers above 0"),
        ({"gain": math.inf}, "gain: got inf; allowed: numbers above 0"),
    ],
)
def test_what_cannot_be_made_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        superpos.known(**{"name": "induction_k", **options})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([0, 17], "tokens: got numbers from 0 to 17; allowed: 0 to 16"),
        ([-1, 0], "tokens: got numbers from -1 to 0; allowed: 0 to 16"),
        ([0.5], "tokens: got float64 of shape"),
        (3, r"tokens: got int64 of shape \(\)"),
        ([0] * 25, "tokens: got 25 positions; allowed: 1 to 24"),
    ],
)
def test_what_is_no_sequence_is_refused(tokens: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        superpos.known("induction_k").probabilities(tokens)


@pytest.mark.skipif(
    REFEREE is None,
    reason="TransformerLens is installed neither here nor where SUPERPOS_REFEREES says",
)
def test_logits_are_those_of_transformer_lens(tmp_path: Path) -> None:
    kinds: list[attention.Positions] = ["none", "stream", "scores"]
    tokens = sequences(1)[0]
    models = [
        (kind, {n: v[0] for n, v in drawn(1, 2, 2, kind, dtype=torch.float32).items()})
        for kind in kinds
    ]
    torch.save({"models": models, "tokens": tokens}, tmp_path / "given.pt")
    assert REFEREE is not None
    script = SUPPORT / "transformer_lens_logits.py"
    command = [REFEREE, script, tmp_path / "given.pt", tmp_path / "logits.pt"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    for (kind, weights), theirs in zip(
        models, torch.load(tmp_path / "logits.pt", weights_only=True), strict=True
    ):
        ours, _ = forward(
            {name: value[None] for name, value in weights.items()}, tokens, positions=kind
        )
        torch.testing.assert_close(ours[0], theirs, rtol=0, atol=1e-5)
