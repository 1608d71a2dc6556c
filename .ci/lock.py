"""Write the lock files from pyproject.toml, with uv: `make lock`.

- requirements-core.lock: the core, which `make run` installs.
- requirements.lock: all extras; images are built from it.
- requirements-cuda.lock: NVIDIA's libraries, which PyPI's wheels of PyTorch need on Linux.
- requirements-dev.lock: additional packages for developers.
- starter/dependencies.json: the dependencies of each package, from which a project of `kedro new`
  gets lock files for its own dependencies.

One resolution serves Linux and macOS, and every supported Python. Versions stay as they are unless
a bound in pyproject.toml excludes them; `python .ci/lock.py --upgrade` takes the latest.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
FIRST_PYTHON = "3.11"
CUDA = ("nvidia-", "cuda-", "triton")
"""Prefixes of the packages that only a GPU needs."""
CPU_WHEELS = {
    "2.13.0": (
        "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b",  # Python 3.11, x86_64
        "84453b69508ec79902f899c5ed9495acb9e2bbe9fda5f1d5d6f19e3c3842e1a7",  # aarch64
        "4ca4a9394b0c771238a4f73590fdbbc4debad85ed0fa63d026ae1b085da7d6e2",  # 3.12, x86_64
        "6f307c2c32d764ffc6ff6893b801fad6d4752f3e67966cb8abf1843427c02604",  # aarch64
        "3fbf9c9d1f3c10c2d59d04aca426dee9ccc6ceb32d255c61e93acc3b4f75fae6",  # 3.13, x86_64
        "0b8f7d0423027ae8b90c7977c627f3379f325363a08224dffad9b4b2d684a83d",  # aarch64
    )
}
"""SHA-256 of PyTorch's wheels for CPUs on Linux, by version; only PyTorch's own index has them."""
COMMENT = re.compile(r"^    #.*\n", re.MULTILINE)
"""Line that names what needs the package above, as uv writes it."""
MARKERS = (
    # These conditions hold for all lock files, so they are removed from each line.
    (r"python_full_version < '3\.14' and ", ""),
    (r" and \(sys_platform == 'darwin' or sys_platform == 'linux'\)", ""),
    (r" ; \(sys_platform == 'darwin' or sys_platform == 'linux'\)", ""),
)


def resolve(pins: Iterable[str], *options: str) -> dict[str, str]:
    """Return a resolution: by package, its lines of a lock file.

    Args:
        pins: Lines `NAME==VERSION` to keep as far as possible.
        options: Options of `uv pip compile` that choose extras and groups.
    """
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "requirements.txt"
        output.write_text("\n".join(pins) + "\n", encoding="utf-8")
        command = [
            *("uv", "pip", "compile", "pyproject.toml", "--universal", "--generate-hashes"),
            *("--python-version", FIRST_PYTHON, "--no-sources", "--no-header"),
            *("--quiet", "--output-file", str(output), *options),
        ]
        subprocess.run(command, cwd=ROOT, check=True)
        text = output.read_text(encoding="utf-8")
    for pattern, replacement in MARKERS:
        text = re.sub(pattern, replacement, text)
    blocks = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]
    return {block.partition("==")[0]: block for block in blocks}


def pin(block: str) -> str:
    """Return `NAME==VERSION` of a package's lines."""
    return block.split(maxsplit=1)[0]


def with_cpu_wheels(block: str) -> str:
    """Return PyTorch's lines with the hashes of its wheels for CPUs.

    Raises:
        ValueError: This script has no hashes for this version.
    """
    version = pin(block).partition("==")[2]
    if version not in CPU_WHEELS:
        raise ValueError(
            f"torch {version}: no hashes of its CPU wheels; copy them from PyTorch's index into "
            "CPU_WHEELS of .ci/lock.py"
        )
    added = "".join(f" \\\n    --hash=sha256:{digest}" for digest in CPU_WHEELS[version])
    return f"{COMMENT.sub('', block).rstrip()}{added}\n"


def write_dependencies(blocks: dict[str, str]) -> None:
    """Write the dependencies of each package, as listed in uv's comments."""
    path = ROOT / "starter/dependencies.json"
    if not path.parent.exists():
        return  # a project of `kedro new`
    needed: dict[str, list[str]] = {package: [] for package in blocks}
    for package, block in blocks.items():
        for dependent in re.findall(r"^    # (?:via|  )? ?([\w.-]+)$", block, re.MULTILINE):
            if dependent in needed:  # and not the project itself
                needed[dependent].append(package)
    text = json.dumps({name: sorted(found) for name, found in sorted(needed.items())}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")


def write(name: str, purpose: str, blocks: dict[str, str]) -> None:
    """Write a lock file."""
    header = f"# {purpose}, for Python 3.11 to 3.13 on Linux and macOS; written by `make lock`\n"
    text = header + "".join(blocks[package] for package in sorted(blocks))
    (ROOT / name).write_text(COMMENT.sub("", text), encoding="utf-8")


def main(arguments: list[str]) -> None:
    """Resolve, and write all lock files."""
    locked = [] if "--upgrade" in arguments else sorted(ROOT.glob("requirements*.lock"))
    lines = [line for path in locked for line in path.read_text(encoding="utf-8").splitlines()]
    pins = {pin(line) for line in lines if re.match(r"[a-z]", line)}
    everything = resolve(pins, "--all-extras", "--group", "dev")
    pins = {pin(block) for block in everything.values()}
    write_dependencies(everything)
    runtime = resolve(pins, "--all-extras")
    core = resolve(pins)
    cuda = {name: block for name, block in core.items() if name.startswith(CUDA)}
    torch = {name: with_cpu_wheels(core[name]) for name in ("torch",) if name in core}
    write("requirements-core.lock", "The core", without(core | torch, cuda))
    write("requirements.lock", "The core and all extras", without(runtime | torch, cuda))
    write("requirements-cuda.lock", "CUDA for PyPI's wheels of PyTorch", cuda)
    write("requirements-dev.lock", "What only developers need", without(everything, runtime))


def without(blocks: dict[str, str], others: dict[str, str]) -> dict[str, str]:
    """Return the packages that are not among others."""
    return {name: block for name, block in blocks.items() if name not in others}


if __name__ == "__main__":
    main(sys.argv[1:])
