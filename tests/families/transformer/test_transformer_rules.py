"""What may be said of transformers, and what is refused."""

from __future__ import annotations

import pytest

from superpos.compose.compose import compose
from superpos.config.schema import schema_of
from superpos.errors import ConfigError
from superpos.family import find


def faults(*overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        compose(["family=transformer", *overrides])
    return str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["language.keys=4", "language.kind=chain"],
            "language.keys: 4 with language.kind=chain; it belongs to pairs",
        ),
        (
            ["language.tokens=4"],
            "language.tokens: 4 with language.kind=pairs; it belongs to chain and source and",
        ),
        (["language.seed=1", "language.kind=markov"], "language.seed: 1 with language.kind=markov"),
        (
            ["model.n_layers=0", "model.positions=stream"],
            "model.positions: stream with model.n_layers=0",
        ),
        (["model.n_layers=0", "model.smear=true"], "model.smear: true with model.n_layers=0"),
        (["model.n_layers=0", "model.direct=false"], "model.direct: false with model.n_layers=0"),
        (["model.n_layers=5"], "model.n_layers: got 5; allowed: an integer, 0 to 4"),
        (
            ["model.positions=rotary"],
            "model.positions: got 'rotary'; allowed: none or stream or scores",
        ),
        (
            ["language.kind=source", "language.planted=193"],
            "language.planted: 193 triples; allowed: at most 192, one for each source and token",
        ),
        (["language.kind=source", "language.pool=25"], "language.pool: 25 of 24 tokens"),
        (
            ["language.kind=repeats", "language.period=[6,23]"],
            "language.period: blocks of up to 23; allowed: up to 22",
        ),
        (
            ["language.kind=repeats", "language.period=[7,6]"],
            r"language.period: got [7, 6]; allowed: a list of two",
        ),
        (
            ["language.kind=repeats", "language.distinct=true", "language.tokens=8"],
            "language.period: 12 distinct tokens of 8; allowed: at most language.tokens",
        ),
        (
            ["language.kind=triggers", "language.triggers=15"],
            "language.triggers: 15 of 16 tokens; allowed: at most 14",
        ),
        (
            ["model.layer_norm=true"],
            "model.layer_norm: not modelled; without LayerNorm circuits are",
        ),
        (
            ["model.normalization_type=LN"],
            "model.normalization_type: not modelled; without LayerNorm",
        ),
        (["model.d_mlp=64,128"], "model.d_mlp: not modelled; models are attention alone"),
        (
            ["model.rotary=true"],
            "model.rotary: not modelled; model.positions says where positions are read",
        ),
        (["model.biases=true"], "model.biases: not modelled; weights have no biases"),
        (
            ["data.density=0.1"],
            "data.density: a key of another kind of models; it needs family=tms",
        ),
        (["sae.kind=l1"], "sae.kind: a key of another kind of models; it needs family=sae"),
    ],
)
def test_what_does_not_fit_is_refused(overrides: list[str], message: str) -> None:
    assert message in faults(*overrides)


def test_other_kinds_of_models_have_no_languages() -> None:
    with pytest.raises(
        ConfigError,
        match=r"language\.kind: a key of another kind of models; it needs family=transformer",
    ):
        compose(["language.kind=pairs"])


def test_sizes_follow_from_the_kind() -> None:
    sweep = compose(
        ["family=transformer", "language.kind=chain,pairs,source,latin,conditional,markov"]
    ).sweep
    structures = [sweep.settings.structure(row) for row in range(6)]
    assert [s.context for s in structures] == [16, 32, 24, 24, 24, 48]
    assert [s.vocabulary for s in structures] == [16, 17, 32, 16, 17, 4]
    assert [s.planted_p for s in structures] == [0.8, 0.8, 0.8, 0.8, 0.9, 0.8]
    columns = sweep.settings.columns(sweep.plan.chunks[0].rows)
    assert columns["language.context"].tolist() == [16]
    assert columns["language.tokens"].tolist() == [16]


def test_a_shared_language_has_a_seed_of_its_own() -> None:
    sweep = compose(
        ["family=transformer", "language.kind=chain", "seed=1,2", "language.seed=null,7"]
    ).sweep
    made = sweep.settings
    rows = sweep.plan.chunks[0].rows
    task = sweep.family.task(made, rows, {})
    seeds = {(int(seed), str(own)): int(place) for seed, own, place in zip(
        sweep.column("seed", rows), sweep.column("language.seed", rows), task.language, strict=True
    )}  # fmt: skip
    assert seeds[1, "7"] == seeds[2, "7"]
    assert len({seeds[1, "None"], seeds[2, "None"], seeds[1, "7"]}) == 3


def test_warm_up_ends_where_training_does() -> None:
    """The family's own of 50 steps is cut; one that somebody asked for is not what they get, and
    refused.
    """
    sweep = compose(["family=transformer", "train.steps=0,4,60"]).sweep
    factors = [sweep.settings.structure(row).lr_factors for row in range(3)]
    assert factors[0].tolist() == []
    assert factors[1].tolist() == pytest.approx([0.25, 0.5, 0.75, 0.5])
    assert factors[2][:50].tolist() == pytest.approx(
        [(t + 1) / 50 * min(1, 2 - t / 30) for t in range(50)]
    )
    assert "train.warmup_steps: 51 is more than train.steps=50" in faults(
        "train.warmup_steps=51", "train.steps=50"
    )


def test_what_is_not_modelled_is_no_key() -> None:
    schema = schema_of(find("transformer"))
    assert not schema.absent.keys() & schema.keys.keys()
    assert "did you mean model.n_layers?" in faults("model.n_layer=1")
    positions = " or ".join(schema.keys["model.positions"].choices)
    assert schema.absent["model.rope"].endswith(f"allowed: {positions}")
