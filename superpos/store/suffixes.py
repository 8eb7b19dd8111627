"""Ends of file names by which the format of an export is chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from superpos.errors import ConfigError

OF_TABLES: Final = (".csv", ".parquet", ".md", ".tex")
SUFFIXES: Final = (*OF_TABLES, ".npz")


def suffix_of(path: Path) -> str:
    """The suffix by which the format is chosen."""
    return path.suffix.lower()


def check_folder(to: Path, format: str) -> None:
    """Raise `ConfigError` where the folder that a format writes would be called like a table."""
    suffix = suffix_of(to)
    if suffix in SUFFIXES:
        allowed = f"the name of a folder, without {suffix}"
        got = f"--to: got {str(to)!r}"
        raise ConfigError(f"{got}; --as={format} writes a folder; allowed: {allowed}")
