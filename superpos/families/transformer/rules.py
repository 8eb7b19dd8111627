"""Which values of the keys of transformers fit together. Imports the standard library only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from superpos.config.rules import Rules
from superpos.config.wording import show
from superpos.families.transformer.keys import CONTEXT, OF_KIND, TOKENS, LanguageConfig

_LANGUAGE = LanguageConfig()


def _only_of_kind(name: str) -> Callable[..., str | None]:
    """A key that belongs to some languages is refused for the others."""

    def rule(value: Any, kind: str) -> str | None:
        kinds = OF_KIND[name]
        if kind in kinds or value == getattr(_LANGUAGE, name):
            return None
        return (
            f"language.{name}: {show(value)} with language.kind={kind}; it belongs to "
            f"{' and '.join(kinds)}"
        )

    return rule


def _needs_layers(positions: str, smear: bool, direct: bool, n_layers: int) -> str | None:
    """Without layers nothing reads positions or keys, and the direct path is all there is."""
    if n_layers:
        return None
    if positions not in ("none", "relative"):
        return (
            f"model.positions: {positions} with model.n_layers=0, where no head reads positions; "
            "allowed: none"
        )
    if smear:
        return "model.smear: true with model.n_layers=0, where no head has keys; leave it out"
    return (
        None
        if direct
        else "model.direct: false with model.n_layers=0, where the direct path is all there is"
    )


def _planted(planted: int, sources: int, tokens: int | None, kind: str) -> str | None:
    most = sources * (tokens or TOKENS["source"])
    if kind != "source" or planted <= most:
        return None
    return (
        f"language.planted: {planted} triples; allowed: at most {most}, one for each source and "
        "token"
    )


def _pool(pool: int, tokens: int | None, kind: str) -> str | None:
    most = tokens or TOKENS["source"]
    if kind != "source" or pool <= most:
        return None
    return f"language.pool: {pool} of {most} tokens; allowed: at most language.tokens"


def _period(
    period: tuple[int, int], distinct: bool, tokens: int | None, context: int | None, kind: str
) -> str | None:
    if kind != "repeats":
        return None
    longest = period[1]
    room = (context or CONTEXT[kind]) - 2
    if longest > room:
        return (
            f"language.period: blocks of up to {longest}; allowed: up to {room}, so that "
            "language.context holds more"
        )
    there = tokens or TOKENS[kind]
    if distinct and longest > there:
        return (
            f"language.period: {longest} distinct tokens of {there}; allowed: at most "
            "language.tokens"
        )
    return None


def _triggers(triggers: int, tokens: int | None, kind: str) -> str | None:
    there = tokens or TOKENS["triggers"]
    if kind != "triggers" or triggers < there - 1:
        return None
    return (
        f"language.triggers: {triggers} of {there} tokens; allowed: at most {there - 2}, so that "
        "two are none"
    )


RULES: Rules = (
    *(((f"language.{name}", "language.kind"), _only_of_kind(name)) for name in OF_KIND),
    (("model.positions", "model.smear", "model.direct", "model.n_layers"), _needs_layers),
    (("language.planted", "language.sources", "language.tokens", "language.kind"), _planted),
    (("language.pool", "language.tokens", "language.kind"), _pool),
    (
        (
            "language.period",
            "language.distinct",
            "language.tokens",
            "language.context",
            "language.kind",
        ),
        _period,
    ),
    (("language.triggers", "language.tokens", "language.kind"), _triggers),
)
