"""Formats errors of the operating system: what it says of a file, and what to do about it."""

from __future__ import annotations

import errno

_TO_DO = {
    errno.EACCES: "give yourself the right to it, or name another",
    errno.EISDIR: "a file was expected here; name one, or move the folder away",
    errno.ELOOP: "symbolic links lead in a circle; put the file itself here",
    errno.ENOENT: "see whether its name is right",
    errno.ENOSPC: "make room, and run again",
    errno.ENOTDIR: "a folder was expected above it; move away the file of that name",
    errno.EROFS: "choose another place in globals.yml",
}


def format_os_error(error: OSError) -> str:
    """Return `file: what is wrong; what to do`; the error's own text if it has no number."""
    if not error.strerror:
        return str(error)
    reason = str(error.strerror)
    text = f"{reason[0].lower()}{reason[1:]}"
    if error.errno in _TO_DO:
        text = f"{text}; {_TO_DO[error.errno]}"
    return f"{error.filename}: {text}" if error.filename else text
