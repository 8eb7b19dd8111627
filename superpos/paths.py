"""Paths that a user gives: on the command line, in Python, as the value of a key."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from superpos.errors import ConfigError


def given(path: Any) -> Path:
    """A path as the system takes it, with a home folder in the place of `~` and `~NAME`.

    A name that no user has is part of the path, as in a shell. Raises `ConfigError` for what can be
    no path, and where the home folder is not known: a folder "~" would be made in its place.
    """
    try:
        text = os.fsdecode(path)
        os.fsencode(text)
    except (TypeError, UnicodeError):
        raise ConfigError(f"got {path!r}; allowed: a path") from None
    if not text or "\0" in text:
        raise ConfigError(f"got {path!r}; allowed: a path")
    return Path(_with_home(text))


def _with_home(text: str) -> str:
    start, slash, rest = text.partition(os.sep)
    if not start.startswith("~"):
        return text
    home = os.path.expanduser(start)  # noqa: PTH111 - pathlib raises where nobody has the name
    if start == "~" and (home == start or not os.environ.get("HOME", home)):
        raise ConfigError(
            f"{text}: the home folder is not known; set HOME, or give the path in full"
        )
    return f"{home}{slash}{rest}"
