"""superpos: train toy models of superposition, thousands at once, and draw the figures of the
papers.

run = superpos.train(["experiment=intro", "train.steps=2000"])
run = superpos.load("outputs/intro/latest")
run.table, run.weights(3), run.tensor("W"), run.history(3)
model = superpos.known("induction_k", tokens=16)
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from superpos.errors import ConfigError
from superpos.family import EVERY_RUN, Late, register

if TYPE_CHECKING:
    from superpos.maths.hand_made import HandMade
    from superpos.store import Run
    from superpos.user.functions import AfterStep, Change, Draws, Forward, FromParams, Loss, Shapes

__all__ = ["__version__", "known", "load", "register", "train"]

__version__ = "0.1.0"

BEGAN = time.monotonic()
"""When this was imported: for a command, when it began."""

EVERY_RUN.update(
    explain=Late("superpos.explain.runs:explain"),
    patch=Late("superpos.explain.patched:patch"),
    plot=Late("superpos.notebook.figures:plot"),
    report=Late("superpos.notebook.explorer:report"),
    _repr_html_=Late("superpos.notebook.overview:html"),
)


def load(path: str | Path) -> Run:
    """The results in a run folder, such as "outputs/intro/latest".

    Raises `SuperposError` where there are none.
    """
    from superpos import store  # imported here: `superpos --help` must not wait for pandas

    return store.load(path)


def known(
    name: str, *, tokens: int = 16, context: int = 24, scale: float = 80.0, gain: float = 10.0
) -> HandMade:
    """A transformer made by hand, whose circuit is known: `weights`, `probabilities(tokens)`,
    `truth`.

    "induction_k" and "induction_q" are induction heads by K- and by Q-composition, "shifted" one
    that attends one token further, "conditional" a head that takes the direct path back. Ordinary
    tokens are 0 to `tokens` - 1, the special one, with which sequences begin, is `tokens`;
    `superpos.maths.hand_made.known` says all of it.

    Raises `ConfigError` for another name and for sizes that cannot be.
    """
    from superpos.maths import hand_made  # with torch, which takes a second

    return hand_made.known(name, tokens=tokens, context=context, scale=scale, gain=gain)


def train(
    overrides: Sequence[str] = (),
    *,
    model: Forward | None = None,
    data: Change | None = None,
    target: Change | None = None,
    loss: Loss | None = None,
    after_step: AfterStep | None = None,
    init: FromParams | None = None,
    measure: FromParams | None = None,
    params: Shapes | None = None,
    draws: Draws | None = None,
    frozen: Sequence[str] | None = None,
    encoder: str | None = None,
    out: str | Path = "outputs",
    config_dir: str | Path | None = None,
    shard: tuple[int, int] | None = None,
    fresh: bool = False,
    progress: bool = False,
) -> Run:
    """Train what `superpos train OVERRIDES` trains, and return its run; what is finished is not
    trained again.

    Own functions, made of torch operations on M models, B samples and F features at once:
    `model(params, x)` gives the outputs [M, B, F] for inputs x [M, B, F]; `params` says the shapes
    of its parameters, such as {"W": ("n", "m"), "gate": ("m",)}; without it they are W (or W1 and
    W2) and b, as in superpos's own model. `data(x)` gives the inputs [M, B, F] that are made of the
    drawn ones, `target(x)` what the outputs should be; `loss(out, target, params)` the loss of each
    sample [M, B] of outputs and targets of any shape [M, B, ...]; `after_step(params, lr, step)`
    the parameters that are to be others than the step with rates lr [M] leaves them. `init(params)`
    initial parameters that are to be others than they are drawn; `measure(params)` columns of
    results [M], which are "own.NAME" in the table. `draws` are random numbers of the model's seed
    that functions take by name: with {"z": ("normal", "m")} z is [M, B, m], in `init` and
    `after_step` [M, m]. `frozen` names parameters that are not trained, `encoder` one of shape (n,
    m) whose rows are measured as those of W.
    Their source is part of the run's identity. Experiments of `config_dir` name theirs under
    `own:`. `progress` shows how far training is.

    Raises `ConfigError` for bad overrides and functions, `SuperposError` for a folder that cannot
    be used.
    """
    from superpos.compose.compose import compose
    from superpos.paths import given
    from superpos.training import resolved
    from superpos.training.already_trained import finished
    from superpos.user.functions import Own

    if isinstance(overrides, str):
        raise ConfigError(
            f"overrides: got the string {overrides!r}; allowed: a list of strings, one an override"
        )
    functions = {
        **{"model": model, "data": data, "target": target, "loss": loss},
        **{"after_step": after_step, "init": init, "measure": measure},
    }
    own = Own.of(functions, params, draws=draws, frozen=frozen, encoder=encoder)
    outputs = given(out)
    configs = None if config_dir is None else given(config_dir)
    sweep = resolved(compose(list(overrides), configs, own).sweep)
    folder = None if fresh else finished(sweep, outputs, shard)
    if folder is None:
        from superpos.notebook.progress import reporter
        from superpos.training import runner  # with the engines, which a finished run does not need

        command = ["superpos.train", *overrides, *([str(own)] if own else [])]
        with reporter(quiet=not progress) as report:
            folder = runner.train(
                sweep, out=outputs, command=command, shard=shard, fresh=fresh, progress=report
            )
    return load(folder)
