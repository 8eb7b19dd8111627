"""Completion in bash, zsh and fish.

A shell calls superpos with the line so far in the environment (`SHELL_VARIABLE` names the shell)
and gets a word a line; the exit code 1 says that paths may stand there. Typer's own completion is
not used: its bash script completes nothing behind "=", where bash breaks words, and adds a blank
after "KEY=".
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import typer

# as in superpos.cli.suggestions, which only a completion imports
Suggestions = list[tuple[str, str]]
SHELL_VARIABLE = "_SUPERPOS_COMPLETE"
Shell = Literal["bash", "zsh", "fish"]
SCRIPTS: dict[Shell, str] = {
    "bash": """\
_superpos_complete() {
    local IFS=$'\\n'
    COMPREPLY=( $(_SUPERPOS_COMPLETE=bash COMP_LINE="${COMP_LINE:0:COMP_POINT}" \\
        COMP_WORDBREAKS="$COMP_WORDBREAKS" "$1" 2> /dev/null) ) || compopt -o default 2> /dev/null
    [[ ${#COMPREPLY[@]} == 1 && $COMPREPLY == *= ]] && compopt -o nospace 2> /dev/null
    return 0
}
complete -F _superpos_complete superpos
""",
    "zsh": """\
_superpos() {
    local line="${(j: :)words[1,CURRENT-1]} $PREFIX" word
    local -a found whole open
    found=( "${(@f)$(_SUPERPOS_COMPLETE=zsh COMP_LINE="$line" $words[1] 2> /dev/null)}" ) || {
        _files
        return
    }
    for word in $found; do
        [[ ${word%%:*} == *= ]] && open+=( "$word" ) || whole+=( "$word" )
    done
    (( $#open )) && _describe -V superpos open -S ''
    (( $#whole )) && _describe -V superpos whole
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _superpos superpos
""",
    "fish": """\
function __superpos_complete
    set -l command (commandline -opc)[1]
    env _SUPERPOS_COMPLETE=fish COMP_LINE=(commandline -cp | string collect) $command 2> /dev/null
    or __fish_complete_path (commandline -ct)
end
complete --command superpos --no-files --keep-order --arguments '(__superpos_complete)'
""",
}


def overrides(ctx: typer.Context, incomplete: str) -> Suggestions:
    """Override keys, and the values of those that have a list of them."""
    from superpos.cli import suggestions

    return suggestions.overrides(
        incomplete, ctx.params.get("overrides") or (), ctx.params.get("config_dir")
    )


def runs() -> Suggestions:
    """Run folders."""
    from superpos.cli import suggestions

    return suggestions.runs()


def figures() -> Suggestions:
    """Names of figures."""
    from superpos.cli import suggestions

    return suggestions.figures()


def claimed() -> Suggestions:
    """Experiments with claims."""
    from superpos.cli import suggestions

    return suggestions.claimed()


def clusters(ctx: typer.Context) -> Suggestions:
    """Sites of SLURM."""
    from superpos.cli import suggestions

    return suggestions.clusters(ctx.params.get("config_dir"))


def answer(app: typer.Typer) -> int:
    """Print what the last word of the line can become; returns the exit code."""
    shell = os.environ[SHELL_VARIABLE]
    line = os.environ.get("COMP_LINE", "")
    words = split(line)
    found = suggest(typer.main.get_command(app), words[1:])
    kept = (
        _kept_by_bash(words[-1], open_quote(line), os.environ.get("COMP_WORDBREAKS", ""))
        if shell == "bash"
        else 0
    )
    for word, meaning in found or []:
        sys.stdout.write(f"{_FORMATS[shell](word[kept:], meaning)}\n")
    return 1 if found is None else 0


def split(line: str) -> list[str]:
    """The words of a line without their quotes, the one that is being typed last; its quote may be
    open.
    """
    quote = open_quote(line)
    try:
        words = shlex.split(line + quote[:1])
    except ValueError:  # a backslash at the end
        return [""]
    return words if words and (quote or not line[-1].isspace()) else [*words, ""]


def open_quote(line: str) -> str:
    """The quote that is open at the end of a line, with what stands behind it; empty where none
    is.
    """
    opened = re.fullmatch(
        r"""(?:[^'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")*+(['"].*)""", line, re.DOTALL
    )
    return opened[1] if opened else ""


def _kept_by_bash(typed: str, quote: str, breaks: str) -> int:
    """How much of the typed word bash leaves as it is: up to an open quote, or else to the last
    break, such as "=".
    """
    if quote:
        return len(typed) - len(quote) + 1
    return 1 + max((typed.rfind(character) for character in breaks), default=-1)


def suggest(group: Any, words: Sequence[str]) -> Suggestions | None:
    """What the last word can become, after the words before it; None where paths may stand."""
    *before, word = words or [""]
    if not before:
        return _like(
            word,
            _options(group, typer.Context(group)) if word.startswith("-") else _commands(group),
        )
    command = group.commands.get(before[0])
    if command is None:
        return []
    context = command.make_context(before[0], before[1:], resilient_parsing=True)
    expecting = _expecting(command, context, before)
    if expecting is None and word.startswith("-"):
        return _like(word, _options(command, context))
    parameter = expecting or next(
        (p for p in command.params if p.param_type_name == "argument"), None
    )
    if parameter is None:
        return []
    items = [(item.value, item.help or "") for item in parameter.shell_complete(context, word)]
    return items if items or parameter.name == "overrides" else None


def _commands(group: Any) -> Suggestions:
    return [(name, command.get_short_help_str()) for name, command in group.commands.items()]


def _options(command: Any, context: typer.Context) -> Suggestions:
    options = [
        option for option in command.get_params(context) if option.param_type_name == "option"
    ]
    return [(name, option.help or "") for option in options for name in option.opts]


def _expecting(command: Any, context: typer.Context, before: Sequence[str]) -> Any | None:
    """The option whose value is being typed."""
    options = (
        option for option in command.get_params(context) if option.param_type_name == "option"
    )
    return next(
        (option for option in options if before[-1] in option.opts and not option.is_flag), None
    )


def _like(word: str, found: Suggestions) -> Suggestions:
    return [(name, meaning) for name, meaning in found if name.startswith(word)]


def _for_zsh(word: str, meaning: str) -> str:
    return word.replace(":", "\\:") + (f":{meaning}" if meaning else "")


_FORMATS: dict[str, Callable[[str, str], str]] = {
    "bash": lambda word, _: word,
    "zsh": _for_zsh,
    "fish": lambda word, meaning: f"{word}\t{meaning}",
}


def install(shell: Shell) -> Path:
    """Write the script of a shell, and where the shell is to read it at its start; returns the
    script's path.

    Raises `SuperposError`.
    """
    from superpos.store.files import check_target, explained, write_file

    home = Path.home()
    script = SCRIPTS[shell].encode()
    if shell == "fish":
        return write_file(
            _folder("XDG_CONFIG_HOME", ".config") / "fish" / "completions" / "superpos.fish", script
        )
    path = write_file(
        _folder("XDG_DATA_HOME", ".local/share") / "superpos" / f"completion.{shell}", script
    )
    start = (
        home / ".bashrc" if shell == "bash" else Path(os.environ.get("ZDOTDIR") or home) / ".zshrc"
    )
    line = f"source {shlex.quote(str(path))}"
    check_target(start)
    with explained("write", start):
        text = start.read_text(encoding="utf-8", errors="surrogateescape") if start.exists() else ""
        if line not in text.splitlines():
            with start.open("a", encoding="utf-8", errors="surrogateescape") as file:
                file.write(f"{line}\n" if text.endswith("\n") or not text else f"\n{line}\n")
    return path


def _folder(variable: str, default: str) -> Path:
    """A folder of the XDG base directory specification."""
    return Path(os.environ.get(variable) or Path.home() / default)
