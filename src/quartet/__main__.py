"""Run the packaged project: `python -m quartet --conf-source=CONF --pipelines=NAME`.

It takes the options of `kedro run`. `kedro package` puts the configuration beside the package, in
`conf-quartet.tar.gz`; results are written below the working directory.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from kedro.framework.cli.utils import find_run_command
from kedro.framework.project import configure_project


def main(*arguments: Any, **options: Any) -> Any:
    """Run the project as its command line does.

    Args:
        arguments: As for `kedro run`; by default those of the process.
        options: As for click's `Command.main`.
    """
    # A package has no file `.telemetry`, by which the project opts out.
    os.environ.setdefault("DO_NOT_TRACK", "1")
    configure_project("quartet")
    # In a notebook the result is returned, instead of ending the interpreter.
    options.setdefault("standalone_mode", not hasattr(sys, "ps1"))
    return find_run_command("quartet")(*arguments, **options)


if __name__ == "__main__":
    main()
