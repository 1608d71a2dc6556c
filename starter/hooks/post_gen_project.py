"""Fills the new project, which `kedro new` has made empty; the folder above has the code."""

import sys
from pathlib import Path

STARTER = Path(r"{{ cookiecutter._repo_dir }}").resolve()
sys.path.insert(0, str(STARTER))
sys.dont_write_bytecode = True

from new_project import main  # noqa: E402  it lies in STARTER

sys.exit(
    main(
        STARTER.parent,
        Path.cwd(),
        "{{ cookiecutter.project_name }}",
        "{{ cookiecutter.scenarios }}",
    )
)
