"""Which values of the keys of circuits fit together. Imports the standard library only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from superpos.config.rules import Rules
from superpos.config.wording import show
from superpos.families.circuit.keys import GATES, INDUCTION


def _only_of(name: str, kinds: tuple[str, ...]) -> Callable[..., str | None]:
    """A key that belongs to some kinds is refused for the others."""

    def rule(value: Any, kind: str) -> str | None:
        if value is None or kind in kinds:
            return None
        words = f"it belongs to circuit.kind={', '.join(kinds)}"
        return f"circuit.{name}: {show(value)} with circuit.kind={kind}; {words}"

    return rule


def _made(steps: int) -> str | None:
    if steps:
        return f"train.steps: {steps} with family=circuit; allowed: 0, circuits are made"
    return None


RULES: Rules = (
    (("circuit.always_on", "circuit.kind"), _only_of("always_on", GATES)),
    (("circuit.rho", "circuit.kind"), _only_of("rho", ("backup",))),
    (("circuit.beta", "circuit.kind"), _only_of("beta", INDUCTION)),
    (("train.steps",), _made),
)
