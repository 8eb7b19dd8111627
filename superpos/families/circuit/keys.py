"""The config keys of circuits; docs/keys.md lists them. Imports the standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from superpos.config.schema import key

GATES: Final = ("and", "or", "xor", "add", "inhibit", "backup", "random_gates", "illusion")
INDUCTION: Final = ("induction_k", "induction_q", "induction_kq")
DEFAULT_BETA: Final = 20.0
DEFAULT_ALWAYS_ON: Final = 1
DEFAULT_RHO: Final = 0.5


@dataclass(frozen=True)
class CircuitConfig:
    """Circuits made by hand, whose every part is known."""

    kind: str = key(
        "choice",
        "and",
        "one gate, a part with its backup, three random gates, an illusion beside the part that is "
        "read; induction by K, Q or both",
        choices=(*GATES, *INDUCTION),
    )
    distractors: int = key(
        "int",
        2,
        "parts that nothing reads: gates, or heads in each layer; of an illusion pairs of one that "
        "varies and one that is read",
        low=0,
        high=6,
        size=True,
    )
    always_on: int | None = key(
        "int",
        None,
        "parts that are always on and read by the output",
        low=0,
        high=4,
        null=f"{DEFAULT_ALWAYS_ON} of gates",
        size=True,
    )
    rho: float | None = key(
        "number",
        None,
        "how much of a lost part its backup takes over",
        low=0.0,
        high=10.0,
        null=f"{DEFAULT_RHO} of backup",
        per_model=True,
    )
    beta: float | None = key(
        "number",
        None,
        "sharpness of attention: the score of what a head looks for, beside 0",
        low=1e-6,
        high=1e6,
        null=f"{DEFAULT_BETA:g} of induction circuits",
        per_model=True,
    )


KEYS = {"circuit": CircuitConfig}
