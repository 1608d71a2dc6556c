"""What a warning or an error says, less everything that was put into it while the program ran.

A message is mostly made of a text that stands in the program and of values: names of files,
parameters, rows of somebody's table. Which part is which cannot be told from the finished
message. So the text is taken from the source, at the place that wrote or raised it, with `{}` or
`%s` where the values stood; where none is found there, nothing is said but the place.
"""

from __future__ import annotations

import ast
import functools
import linecache
import logging
import re
from collections.abc import Iterator
from types import CodeType, TracebackType
from typing import Any

_LOGGING = {"debug", "info", "warning", "warn", "error", "exception", "critical", "log"}
_HOLE = "{}"
_MOST_LINES = 5_000
"""Of a source file; to look into longer ones would take a step seconds."""
_MOST_CAUSES = 4
_CATEGORY = re.compile(r"\d+: (\w+): ")


def of_record(record: logging.LogRecord) -> str:
    """The text of a log line as it stands in the program; empty if it does not stand there."""
    if record.name == "py.warnings":  # its text was put together by `warnings`, path and all
        found = _CATEGORY.search(record.getMessage())
        return found[1] if found else ""
    calls = (
        node
        for node in _around(record.pathname, record.lineno)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in _LOGGING
    )
    call = _innermost(calls)
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return ""
    arguments = call.args[1:] if call.func.attr == "log" else call.args
    return (_literal(arguments[0]) or "") if arguments else ""


def of_error(error: BaseException) -> str:
    """Type, place and text of an error and of those that caused it, `; ` between them.

    A text is left out where it does not stand in the program.
    """
    parts: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(parts) < _MOST_CAUSES:
        place, text = _raised(cause.__traceback__)
        parts.append(": ".join(filter(None, [f"{type(cause).__name__} in {place}", text])))
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return "; ".join(parts)


def place_of(module: str, code: CodeType) -> str:
    """`module.Class.function`: where in the program, without where on the disk."""
    return f"{module}.{code.co_qualname}".replace(".<locals>", "").replace("<module>", "module")


def _raised(traceback: TracebackType | None) -> tuple[str, str]:
    """Place and text of the statement that an error comes from."""
    if traceback is None:
        return "nowhere", ""
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    code = traceback.tb_frame.f_code
    place = place_of(str(traceback.tb_frame.f_globals.get("__name__", "")), code)
    around = _around(code.co_filename, traceback.tb_lineno)
    statement = _innermost(node for node in around if isinstance(node, ast.Raise))
    raised = statement.exc if isinstance(statement, ast.Raise) else None
    if not isinstance(raised, ast.Call) or not raised.args:
        return place, ""
    return place, _literal(raised.args[0]) or ""


def _around(path: str, line: int) -> Iterator[Any]:
    """Statements and expressions of a file that a line is part of."""
    tree = _tree(path)
    for node in ast.walk(tree) if tree else ():
        first, last = getattr(node, "lineno", None), getattr(node, "end_lineno", None)
        if first is not None and last is not None and first <= line <= last:
            yield node


def _innermost(nodes: Iterator[Any]) -> Any | None:
    return min(nodes, key=lambda node: (node.end_lineno - node.lineno, -node.lineno), default=None)


@functools.lru_cache(maxsize=32)
def _tree(path: str) -> ast.Module | None:
    lines = linecache.getlines(path)
    if not lines or len(lines) > _MOST_LINES:
        return None
    try:
        return ast.parse("".join(lines))
    except (SyntaxError, ValueError):
        return None


def _literal(node: ast.expr) -> str | None:
    """The constant parts of a text, with `{}` for the others; None for what is no text."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(_literal(part) or _HOLE for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _literal(node.left), _literal(node.right)
        return None if left is None and right is None else f"{left or _HOLE}{right or _HOLE}"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        return _literal(node.left)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return _literal(node.func.value) if node.func.attr == "format" else None
    return None
