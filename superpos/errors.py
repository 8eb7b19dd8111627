"""Errors that a user can cause or must know of. Each carries the exit code of the command line."""

from __future__ import annotations

from collections.abc import Sequence


class SuperposError(Exception):
    """A failure with a message for the user instead of a traceback."""

    exit_code = 2


class ConfigError(SuperposError):
    """Bad overrides or configs; all faults at once, one line each."""

    def __init__(self, faults: Sequence[str] | str) -> None:
        self.faults = [faults] if isinstance(faults, str) else list(faults)
        super().__init__("\n".join(self.faults))


class MissingPackageError(SuperposError):
    """What was asked for needs a package that is not installed."""


class PlanMismatchError(SuperposError):
    """The run folder holds a different plan."""

    exit_code = 3


class IncompleteError(SuperposError):
    """A run is incomplete or corrupt."""

    exit_code = 4


class TrainingInterruptedError(SuperposError):
    """Training was interrupted; a checkpoint is saved."""

    exit_code = 75

    def __init__(self, message: str, progress: tuple[int, int] = (0, 0)) -> None:
        super().__init__(message)
        self.progress = progress
        """Finished chunks of what was to be trained, and the step of the chunk in training."""
