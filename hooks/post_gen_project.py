"""Fills the new project, which `kedro new` has made empty; `starter/` has the code."""

import sys
from pathlib import Path

REPOSITORY = Path(r"{{ cookiecutter._repo_dir }}").resolve()
sys.path.insert(0, str(REPOSITORY / "starter"))
sys.dont_write_bytecode = True

from new_project import main  # noqa: E402  it lies in the repository

sys.exit(
    main(REPOSITORY, Path.cwd(), "{{ cookiecutter.project_name }}", "{{ cookiecutter.scenarios }}")
)
