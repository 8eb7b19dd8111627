"""What `superpos verify` prints: a block of lines per claim, and how many hold."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from superpos.units import number

if TYPE_CHECKING:
    from superpos.claims.verdicts import Result

VERDICTS = ("holds", "fails", "skipped")


def claim_lines(result: Result, first: bool) -> str:
    """A claim in lines, below a header where it is the first of its experiment."""
    claim = result.claim
    lines = (
        [f"{claim.row}. {claim.experiment}" if claim.row is not None else claim.experiment]
        if first
        else []
    )
    lines.append(f"  {result.verdict:<7} {claim.text} [{claim.source}]")
    lines.append(f"{'':10}{_numbers(result)}")
    if result.verdict == "fails":
        lines.append(f"{'':10}{result.why}: {claim.reason}")
    return "\n".join(lines)


def totals_line(results: list[Result]) -> str:
    """The last line."""
    counts = [
        f"{sum(result.verdict == verdict for result in results)} {verdict}" for verdict in VERDICTS
    ]
    return f"{len(results)} claims: {', '.join(counts)}"


def _numbers(result: Result) -> str:
    """What was measured, what is expected, where it must lie."""
    published = result.claim.published
    parts = [
        ""
        if result.verdict == "skipped"
        else f"measured {number(result.measured)}{_spread(result)}",
        "" if result.expected is None else f"expected {number(result.expected)}",
        "" if published is None else f"published {number(published)}",
        _band(result),
    ]
    return ", ".join(filter(None, parts))


def _spread(result: Result) -> str:
    if result.spread is None or result.trials < 2:
        return ""
    low, high = map(number, result.spread)
    return f" ({low} to {high}, {result.trials:,} trials)"


def _band(result: Result) -> str:
    ends = [
        f"{word} {number(end)}"
        for word, end in (("from", result.low), ("to", result.high))
        if isfinite(end)
    ]
    return f"allowed {' '.join(ends)}" if ends else ""
