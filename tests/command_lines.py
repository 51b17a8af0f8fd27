"""Command lines that are shown: whether the command there is one of ours, with options that it has."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Optional

import click

from daqcluster.cli import main as daqcluster
from daqsched.cli import main as daqsched
from verbs import verbs

ROOT = Path(__file__).resolve().parent.parent
COMMANDS: dict[str, click.Group] = {"daqsched": daqsched, "daqcluster": daqcluster}

#: What stands for a value of the reader's, or for what is left out.
_STANDS = re.compile(r"[A-Z][A-Z_/.:@-]*|.*(\.\.\.|…|\$).*")


def ours(text: str) -> Iterator[list[str]]:
    """The simple commands of a piece of shell that are ours: their words, the first one without its folder."""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        words: list[str] = []
        for word in [*_words(line), ";"]:
            if word and not word.strip("();<>|&"):
                if len(words) > 1 and re.match(r"\d", words[1]):
                    pass  # `daqsched 0.1.0 serves on …` is a sentence
                elif words and Path(words[0]).name in (*COMMANDS, "daqsched-executor", "make"):
                    yield [Path(words[0]).name, *words[1:]]
                elif words and words[0].startswith("scripts/"):
                    yield words
                words = []
            elif words or not re.match(r"\w+=|\$$", word):
                words.append(word)


def _words(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        return list(lexer)
    except ValueError:  # a quote that ends in another line: JSON for curl, nothing of ours
        return []


def mistake(words: Sequence[str], whole: bool) -> str:
    """Why nobody can type this, or "". ``whole``: nothing of it is left out."""
    program, *rest = words
    if program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M)
        return next((f"make has no target {word}" for word in rest if "=" not in word and word not in targets), "")
    if program.startswith("scripts/"):
        return "" if (ROOT / program).exists() else f"there is no {program}"
    if program == "daqsched-executor":
        return _executor(rest)
    try:
        _click(COMMANDS[program], program, [word for word in rest if word not in ("...", "…")], whole)
    except click.ClickException as error:
        # `--set` in a sentence leaves its value out
        return "" if not whole and "requires an argument" in error.format_message() else error.format_message()
    return ""


def _click(
    command: click.Command, called: str, words: list[str], whole: bool, parent: Optional[click.Context] = None
) -> None:
    # what a command's options are called (`-h`) is its group's to say, and remembered with the command
    with click.Context(command, parent, called, **command.context_settings) as context:
        if words[:1] and words[0] in verbs(command):
            values: dict[str, Any] = {}
            rest = words  # as `daqsched logs` has it: the first word is a verb, or what is selected
        else:
            values, rest, _ = command.make_parser(context).parse_args(words)
        if isinstance(command, click.Group) and rest and not (command.invoke_without_command and values):
            verb = command.get_command(context, rest[0])
            if verb is None:
                if not _STANDS.fullmatch(rest[0]):
                    raise click.UsageError(f"{called} has no command {rest[0]!r}")
                return
            _click(verb, f"{called} {rest[0]}", list(rest[1:]), whole, context)
            return
        if rest:
            raise click.UsageError(f"{called} takes no {rest[0]!r}")
        for parameter in command.params:
            value = values.get(parameter.name)
            # click has a value of its own for "none was given"
            if not isinstance(value, (str, bool, int, tuple, list)) or value == ():
                if whole and parameter.required and not getattr(parameter, "envvar", None):
                    raise click.MissingParameter(ctx=context, param=parameter)
            elif isinstance(parameter.type, (click.Choice, click.types.IntParamType, click.types.FloatParamType)):
                for one in value if isinstance(value, (tuple, list)) else [value]:
                    if isinstance(one, str) and not _STANDS.fullmatch(one):
                        parameter.type(one, parameter, context)


def _executor(words: list[str]) -> str:
    known = re.findall(
        r"--?[\w-]+",
        (ROOT / "docs" / "reference" / "commands.md").read_text().partition("### daqsched-executor forward")[2],
    )
    command, *options = words or ["--version"]
    if command not in ("run", "forward", "--version", "--help"):
        return f"daqsched-executor has no command {command!r}"
    return next(
        (f"{command} has no option {word}" for word in options if word.startswith("-") and word not in known), ""
    )
