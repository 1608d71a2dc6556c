"""Format errors of the operating system: the file, what is wrong, and what to do."""

from __future__ import annotations

import errno

_REMEDIES = {
    errno.EACCES: "change its permissions, or use another path",
    errno.EFBIG: "raise the limit of file sizes (ulimit -f), and rerun",
    errno.EISDIR: "expected a file; use the path of a file, or move the folder away",
    errno.ELOOP: "symbolic links form a cycle; replace the link by the file",
    errno.ENOENT: "check the path",
    errno.ENOSPC: "free disk space, and rerun",
    errno.ENOTDIR: "a parent of the path is a file, expected a folder; move the file away",
    errno.EROFS: "choose another folder in globals.yml",
}


def format_os_error(error: OSError) -> str:
    """Return `file: what is wrong; what to do`; the error's own text if it has no errno."""
    if not error.strerror:
        return str(error)
    reason = str(error.strerror)
    text = f"{reason[0].lower()}{reason[1:]}"
    if error.errno in _REMEDIES:
        text = f"{text}; {_REMEDIES[error.errno]}"
    return f"{error.filename}: {text}" if error.filename else text
