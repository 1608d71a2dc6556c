"""Build and load the C++ code of this package on the machine that runs it."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import logging
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import torch

logger = logging.getLogger(__name__)

_SOURCE = Path(__file__).with_name("passes.cpp")
_COMPILERS = ("c++", "g++", "clang++")
# Without contraction, all CPUs round alike.
_FLAGS = ("-std=c++17", "-O3", "-march=native", "-ffp-contract=off", "-shared", "-fPIC")
_COMPILE_SECONDS = 120
_POINTER, _INT, _LONG = ctypes.c_void_p, ctypes.c_int, ctypes.c_long
_ARGUMENTS = {
    "quartet_measure": [_POINTER, _INT, *[_LONG] * 4, _POINTER, _POINTER],
    "quartet_convert": [
        *(_POINTER, _INT, *[_LONG] * 5, _POINTER, _POINTER, _POINTER),
        *(_POINTER, _INT, _LONG, _LONG, _INT),
    ],
    "quartet_add": [_POINTER, _POINTER, *[_LONG] * 3, *[_POINTER] * 4],
}
"""Types of the arguments of the functions in `passes.cpp`."""


@functools.cache
def load_passes() -> ctypes.CDLL | None:
    """Return the library of `passes.cpp`, or None where it cannot be built.

    It is built once per source, compiler and CPU, beside Python's own compiled files; where that
    folder is read-only, once per process. Processes may build it at the same time.
    """
    compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
    cpu = sorted(torch.cpu.get_capabilities().items())
    key = repr((_SOURCE.read_bytes(), _FLAGS, compiler, cpu)).encode()
    name = f"passes.{hashlib.sha256(key).hexdigest()[:16]}.so"
    cached = _SOURCE.parent / "__pycache__" / name
    try:
        if cached.is_file():
            with suppress(OSError):  # a damaged library is built again
                return _open(cached)
        return _build(compiler, cached) if compiler else None
    except (OSError, subprocess.SubprocessError) as error:
        reason = getattr(error, "stderr", None) or error
        logger.warning("slower PyTorch operations replace %s, not built: %s", _SOURCE, reason)
        return None


def _build(compiler: str, cached: Path) -> ctypes.CDLL:
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / cached.name
        subprocess.run(
            [compiler, *_FLAGS, str(_SOURCE), "-o", str(built)],
            check=True,
            capture_output=True,
            text=True,
            timeout=_COMPILE_SECONDS,
        )
        library = _open(built)
        try:
            cached.parent.mkdir(exist_ok=True)
            beside = cached.with_name(f"{cached.name}.{uuid4().hex[:8]}")
            shutil.copy(built, beside)
            beside.replace(cached)
        except OSError:
            logger.debug("%s is not writable; each process builds its own", cached.parent)
    return library


def _open(path: Path) -> ctypes.CDLL:
    """Open the library and declare its functions."""
    library = ctypes.CDLL(str(path))
    for name, types in _ARGUMENTS.items():
        function = getattr(library, name)
        function.argtypes, function.restype = types, None
    return library
