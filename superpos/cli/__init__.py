"""The command line.

The only importer of typer; what takes long to import is imported inside the commands.

stdout carries results only; progress, warnings and errors go to stderr.
"""

from __future__ import annotations

import codecs
import gc
import logging
import os
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from typer.core import TyperGroup

from superpos import __version__
from superpos.cli import (
    catalogue,
    circuits,
    comparing,
    completion,
    environment,
    explaining,
    exporting,
    measuring,
    patching,
    results,
    signals,
    starting,
    submitting,
    tidying,
    training,
)
from superpos.cli.options import Command, WithOverrides
from superpos.errors import SuperposError
from superpos.terminal.progress import Notes, say


class _Commands(TyperGroup):
    """Turns a failure that a user can cause into a short message and its exit code."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Read the command line, run the command and see that its results arrive."""
        try:
            try:
                return super().main(*arguments, **options)
            finally:
                sys.stdout.flush()
        except BrokenPipeError:  # whoever read the output has enough: nobody is to be told
            sys.stdout = _nowhere()  # or Python tries again as it ends
            raise SystemExit(1) from None
        # a full disk behind stdout, or a path of which no module expects it
        except OSError as error:
            sys.stdout = _nowhere()
            say(
                f"superpos: {'stdout' if error.filename is None else error.filename}: "
                f"{error.strerror or error}"
            )
            raise SystemExit(SuperposError.exit_code) from error

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except SuperposError as error:
            lines = str(error).splitlines()
            say(
                f"superpos: {lines[0]}"
                if len(lines) == 1
                else "\n  ".join([f"superpos: {len(lines)} faults", *lines])
            )
            raise typer.Exit(error.exit_code) from error


app = typer.Typer(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Train toy models of superposition, thousands at once, and draw the figures of the "
    "papers.",
)


@app.callback(invoke_without_command=True)
def completions(
    ctx: typer.Context,
    show: Annotated[
        completion.Shell | None,
        typer.Option("--show-completion", help="Print the completion script of a shell."),
    ] = None,
    install: Annotated[
        completion.Shell | None,
        typer.Option("--install-completion", help="Have a shell read it from its next start."),
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """What stands before a command, or in its place."""
    if version:
        typer.echo(f"superpos {__version__}")
        raise typer.Exit
    if show is not None:
        typer.echo(completion.SCRIPTS[show], nl=False)
    elif install is not None:
        say(
            f"superpos: {completion.install(install)}: {install} completes superpos from its next "
            "start"
        )
    if show is not None or install is not None:
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        ctx.fail("Missing command.")


app.command(cls=WithOverrides)(training.train)
app.command(cls=Command)(results.plot)
app.command(cls=Command)(results.report)
app.command(cls=Command)(results.status)
app.command(cls=WithOverrides)(explaining.explain)
app.command(cls=WithOverrides)(patching.patch)
app.command(cls=Command)(circuits.circuits)
app.command(cls=Command)(comparing.diff)
app.command(cls=Command)(exporting.export)
app.command(cls=Command)(tidying.note)
app.command(cls=Command)(tidying.rm)
app.command(cls=WithOverrides)(submitting.submit)
app.command("list", cls=Command)(catalogue.list_)
app.command(cls=Command)(catalogue.keys)
app.command(cls=Command)(starting.new)
app.command(cls=WithOverrides)(catalogue.config)
app.command(cls=Command)(measuring.verify)
app.command(cls=Command)(measuring.bench)


def _encoded(error: UnicodeError) -> tuple[bytes, int]:
    """Bytes of a path that are no text go out as they came in; what a terminal cannot show, such as
    "×", is a "?".
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    # Python reads the byte 0xE9 as the character U+DCE9.
    return b"".join(
        bytes([ord(x) - 0xDC00]) if "\udc80" <= x <= "\udcff" else b"?" for x in letters
    ), error.end


_AS_IT_CAME = "superpos"
codecs.register_error(_AS_IT_CAME, _encoded)


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


def main() -> None:
    """Entry point of `superpos`."""
    environment.settle()
    # what is imported stays: looking for garbage in it takes a tenth of the start
    gc.set_threshold(100_000)
    sys.stdout = sys.stdout or _nowhere()  # a shell's >&- leaves none
    sys.stderr = sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=_AS_IT_CAME)
    logging.getLogger("superpos").addHandler(Notes())
    signals.catch()
    try:
        if completion.SHELL_VARIABLE in os.environ:
            raise SystemExit(completion.answer(app))
        app(prog_name="superpos")
    finally:
        signals.ignore()
