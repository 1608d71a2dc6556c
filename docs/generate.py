"""Write the generated blocks of all pages; with `--check`, report those that are out of date.

Usage: python docs/generate.py [--check] [FOLDER]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from generators.blocks import fill_blocks


def main() -> int:
    """Return the exit status: 1 if a page is out of date, or has a marker that is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="Write nothing.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    failures = []
    for path in sorted(arguments.folder.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        try:
            filled = fill_blocks(text)
        except ValueError as error:
            failures.append(f"{path}: {error}")
            continue
        if filled != text and arguments.check:
            failures.append(f"{path}: out of date; run python docs/generate.py")
        elif filled != text:
            path.write_text(filled, encoding="utf-8")
    print("\n".join(failures), file=sys.stderr)
    return min(len(failures), 1)


if __name__ == "__main__":
    sys.exit(main())
