"""Describe commands from click's own objects."""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Iterator
from unittest.mock import patch

import click

from .markdown import code, prose, table

HEADER = ("Option", "Default", "Meaning")


def command(path: str) -> str:
    """Return usage, help, options and examples of a command, and of each subcommand.

    Args:
        path: The command without options: `kedro cloud models`.

    Raises:
        ValueError: There is no such command.
    """
    from kedro_cloud.cli import commands
    from quartet.cli import cli as own

    first, *names = path.split()
    cli = click.CommandCollection(sources=[own, commands])
    found: click.Command = cli
    context = click.Context(cli, info_name=first)
    for name in names:
        below = found.get_command(context, name) if isinstance(found, click.Group) else None
        if below is None:
            raise ValueError(f"no command '{path}'")
        found, context = below, click.Context(below, info_name=name, parent=context)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that the plugin and the SDK derive from
        return "\n\n".join(_sections(found, context))


def _sections(found: click.Command, context: click.Context) -> Iterator[str]:
    yield from _help(found, context)
    if options := [each for each in found.params if isinstance(each, click.Option)]:
        yield table(HEADER, (_row(option, context) for option in options if not option.hidden))
    if not isinstance(found, click.Group):
        return
    for name in found.list_commands(context):
        below = found.get_command(context, name)
        assert below is not None
        inner = click.Context(below, info_name=name, parent=context)
        yield f"{'#' * len(inner.command_path.split())} `{inner.command_path}`"
        yield from _sections(below, inner)


def _help(found: click.Command, context: click.Context) -> Iterator[str]:
    pieces = " ".join(found.collect_usage_pieces(context))
    usage = f"{context.command_path} {pieces}"
    if found.hidden:
        yield "For programs: `--help` does not show it."
    paragraphs = inspect.cleandoc(found.help or "").split("\n\n")
    examples = [text.removeprefix("\b\n") for text in paragraphs if text.startswith("\b")]
    yield f"```text\n{usage}\n```"
    yield from (prose(text) for text in paragraphs if text and not text.startswith("\b"))
    for text in examples:
        lines = (f"$ {line}" for line in text.splitlines())
        yield "```console\n" + "\n".join(lines) + "\n```"


def _row(option: click.Option, context: click.Context) -> tuple[str, str, str]:
    names = ", ".join(map(code, [*option.opts, *option.secondary_opts]))
    value = "" if option.is_flag else f" {_value(option)}"
    return names + value, _default(option, context), prose(option.help or "")


def _value(option: click.Option) -> str:
    """Return the accepted values, and whether the option can be repeated."""
    kind = option.type
    if isinstance(kind, click.Choice):
        values = " or ".join(code(str(choice)) for choice in kind.choices)
    else:
        values = _with_limits(option.metavar or kind.name.upper().removesuffix(" RANGE"), kind)
    return values + (", repeatable" if option.multiple else "")


def _with_limits(metavar: str, kind: click.ParamType) -> str:
    """Return the placeholder of a value, with the limits of a number."""
    least, most = getattr(kind, "min", None), getattr(kind, "max", None)
    lower = "" if least is None else f" {'>' if getattr(kind, 'min_open', False) else '≥'} {least}"
    upper = "" if most is None else f" {'<' if getattr(kind, 'max_open', False) else '≤'} {most}"
    return code(metavar.strip("<>")) + " and".join(filter(None, (lower, upper)))


def _default(option: click.Option, context: click.Context) -> str:
    if option.required:
        return "required"
    with patch.dict(os.environ):
        os.environ.pop("KEDRO_ENV", None)  # set by the user who generates the pages
        default = option.to_info_dict()["default"]
        default = default() if callable(default) else default
    if default is None or default in ("", (), False):
        return ""
    return code(str(default))
