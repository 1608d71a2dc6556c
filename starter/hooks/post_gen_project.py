"""Fill the empty project that `kedro new` has created; the code is in the folder above."""

import sys
from pathlib import Path

STARTER = Path(r"{{ cookiecutter._repo_dir }}").resolve()
sys.path.insert(0, str(STARTER))
sys.dont_write_bytecode = True

from answers import is_yes  # noqa: E402  it is in STARTER
from new_project import main  # noqa: E402

sys.exit(
    main(
        STARTER.parent,
        Path.cwd(),
        name="{{ cookiecutter.project_name }}",
        package="{{ cookiecutter.python_package }}",
        scenarios="{{ cookiecutter.scenarios }}",
        azure=is_yes("{{ cookiecutter.azure }}"),
    )
)
