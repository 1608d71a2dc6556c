"""Build and load the C++ code of this package.

`python native.py FOLDER` builds the library into a folder, with a C++ compiler and without other
packages: the Dockerfile does so, as steps have no compiler.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import logging
import platform
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

logger = logging.getLogger(__name__)

_SOURCE = Path(__file__).with_name("passes.cpp")
_INSTALLED = Path(sys.prefix) / "lib"
"""Folder of a library that was built with the Python environment, as in a Docker image."""
_COMPILERS = ("c++", "g++", "clang++")
_FEATURES = ("avx512_f", "avx512_bw", "avx512_dq", "avx512_vl")
"""Features, in PyTorch's names, that all CPUs with AVX512-VNNI have: the code uses no others."""
# Without contraction, all compilers round alike.
_FLAGS = (
    *("-std=c++17", "-O3", "-ffp-contract=off", "-shared", "-fPIC"),
    *(f"-m{feature.replace('_', '')}" for feature in _FEATURES),
)
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
    """Return the library of `passes.cpp`, or None where it cannot be built or the CPU lacks AVX512.

    A library that was built with the Python environment is used first. Otherwise it is built once
    per source, beside Python's own compiled files; where that folder is read-only, once per
    process. Processes may build it at the same time.
    """
    import torch  # not where images are built

    features = torch.cpu.get_capabilities()
    if not all(features.get(feature) for feature in _FEATURES):
        return None
    cached = _SOURCE.parent / "__pycache__" / _library_name()
    try:
        for library in (_INSTALLED / cached.name, cached):
            if library.is_file():
                with suppress(OSError):  # a damaged library is built again
                    return _open(library)
        compiler = _find_compiler()
        return _build(compiler, cached) if compiler else None
    except (OSError, subprocess.SubprocessError) as error:
        reason = getattr(error, "stderr", None) or error
        logger.warning("slower PyTorch operations replace %s, not built: %s", _SOURCE, reason)
        return None


def _library_name() -> str:
    """Return the file name of the library, which differs for another source or other flags."""
    key = repr((_SOURCE.read_bytes(), _FLAGS)).encode()
    return f"passes.{hashlib.sha256(key).hexdigest()[:16]}.so"


def _find_compiler() -> str | None:
    return next(filter(None, map(shutil.which, _COMPILERS)), None)


def _build(compiler: str, cached: Path) -> ctypes.CDLL:
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / cached.name
        _compile(compiler, built)
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


def _compile(compiler: str, target: Path) -> None:
    subprocess.run(
        [compiler, *_FLAGS, str(_SOURCE), "-o", str(target)],
        check=True,
        capture_output=True,
        text=True,
        timeout=_COMPILE_SECONDS,
    )


def _install(folder: Path) -> None:
    """Build the library into a folder, which stays empty on processors other than x86-64.

    An error ends the program with the compiler's message.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if platform.machine() not in ("x86_64", "AMD64"):
        return
    try:
        _compile(_find_compiler() or _COMPILERS[0], folder / _library_name())
    except (OSError, subprocess.SubprocessError) as error:
        sys.exit(f"{_SOURCE}: not built: {getattr(error, 'stderr', None) or error}")


if __name__ == "__main__":
    _install(Path(sys.argv[1]))
