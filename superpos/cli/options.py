"""Commands that take overrides: what is no option of theirs was often meant as one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from typer.core import TyperCommand

_HYDRAS: Final = {
    **dict.fromkeys(
        ("-m", "--multirun"), "all models of a sweep are trained as it is; leave it out"
    ),
    **dict.fromkeys(
        ("--cfg", "-c", "--info", "--resolve"), "`superpos config` prints what is composed"
    ),
    **dict.fromkeys(("--config-name", "-cn"), "experiment=NAME says where to start from"),
}
"""Options of Hydra's own programs, and what there is here instead."""


class Command(TyperCommand):
    """A command that takes none of its own options for the value of another."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments, in the form that click wants.

        Without this, `--out --dry-run` trains, into a folder of that name.
        """
        options = {name: option for option in self.get_params(ctx) for name in option.opts}
        words = args[: args.index("--")] if "--" in args else args
        for option, value in pairwise(words):
            takes_value = option in options and not getattr(options[option], "is_flag", True)
            if takes_value and value.startswith("--") and value.partition("=")[0] in options:
                ctx.fail(f"Option '{option}' requires an argument; {value} is an option, too")
        return super().parse_args(ctx, args)


class WithOverrides(Command):
    """A command whose message of an unknown option says which override was meant."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments, in the form that click wants."""
        options = {name: option for option in self.get_params(ctx) for name in option.opts}
        for place, word in enumerate(args):
            before = options.get(args[place - 1]) if place else None
            name = word.partition("=")[0]
            if word == "--" or not word.startswith("-") or name in options:
                continue
            if before is not None and not getattr(before, "is_flag", True):
                continue  # the value of an option
            if hint := _HYDRAS.get(name) or _override(args[place:]):
                ctx.fail(f"No such option: {name}; {hint}")
        return super().parse_args(ctx, args)


def _override(words: Sequence[str]) -> str | None:
    """Which override the first of these words was to be, with the next one as its value."""
    from superpos.compose.compose import meant

    option, *after = words
    if after and not after[0].startswith("-") and "=" not in option:
        given = after[:1] if "=" in after[0] else [option, after[0]]
    else:
        given = [option]
    form = meant(given, words)
    return f"write {form}" if form else None
