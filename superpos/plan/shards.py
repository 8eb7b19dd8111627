"""Which chunks a shard trains."""

from __future__ import annotations

from superpos.errors import ConfigError

Shard = tuple[int, int]


def part(n_chunks: int, shard: Shard | None) -> range:
    """The chunks of shard (k, n): those with c % n == k; all of them without one.

    Raises `ConfigError`.
    """
    if shard is None:
        return range(n_chunks)
    k, n = shard
    if not 0 <= k < n:
        raise ConfigError(f"shard: got {shard}; allowed: (k, n) with k from 0 to n - 1")
    return range(k, n_chunks, n)
