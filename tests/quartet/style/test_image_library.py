"""Steps on Azure ML use 8-bit integers, although their image has no C++ compiler."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kedro_cloud.provisioning.environment import Image
from quartet.style import native, passes
from quartet.style.quantised import QuantisedNetwork
from quartet.style.stylizer import detect_platform
from quartet.style.transfer_settings import Stylizing
from style.test_inference import needs_int8, network, scene
from style.test_quantised import NATIVE
from support import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Build the library as the Dockerfile does, and load it where there is no compiler.

    Returns:
        Its folder. Modules of this package have no library of their own.
    """
    if native._find_compiler() is None:
        pytest.skip("there is no C++ compiler")
    context = tmp_path / "passes"
    context.mkdir()
    for path in Image.from_project(ROOT, "cpu").sources:
        shutil.copy(path, context)
    (command,) = re.findall(r"^RUN python (/passes/.*)$", DOCKERFILE, re.MULTILINE)
    arguments = command.replace("/passes/", f"{context}/").split()
    # No packages are installed there.
    subprocess.run([sys.executable, "-I", "-S", *arguments], check=True)
    source = tmp_path / "snapshot" / native._SOURCE.name
    source.parent.mkdir()
    shutil.copy(native._SOURCE, source)
    monkeypatch.setattr(native, "_SOURCE", source)
    monkeypatch.setattr(native, "_INSTALLED", Path(arguments[-1]))
    monkeypatch.setattr(native.shutil, "which", lambda name: None)
    native.load_passes.cache_clear()
    yield Path(arguments[-1])
    native.load_passes.cache_clear()


@needs_int8
def test_auto_selects_int8_with_the_library_of_the_image(installed, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert detect_platform(Stylizing()).dtype == torch.int8
    native.load_passes.cache_clear()
    (library,) = installed.iterdir()
    library.unlink()
    assert detect_platform(Stylizing()).dtype != torch.int8


@needs_int8
def test_the_library_of_the_image_gives_the_same_pictures(installed, monkeypatch):
    made, pictures = network(16), scene(49, 70, 2)
    library = native.load_passes()
    assert Path(library._name).parent == installed
    results = []
    for each in (library, NATIVE):
        monkeypatch.setattr(passes, "load_passes", lambda each=each: each)
        with torch.inference_mode():
            results.append(QuantisedNetwork(made)(pictures))
    assert torch.equal(*results)


@needs_int8
def test_another_source_than_that_of_the_image_is_not_replaced(installed):
    with native._SOURCE.open("a") as file:
        file.write("// changed\n")
    assert native.load_passes() is None


def test_a_cpu_without_avx512_does_not_load_the_library(installed, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    assert native.load_passes() is None


def test_the_library_is_in_the_environment_that_steps_run_in():
    (environment,) = re.findall(r"^RUN python -m venv (\S+)", DOCKERFILE, re.MULTILINE)
    (folder,) = re.findall(r"^COPY --from=passes /passes/lib/ (\S+)$", DOCKERFILE, re.MULTILINE)
    assert Path(folder) == Path(environment) / native._INSTALLED.relative_to(sys.prefix)


def test_an_image_for_another_processor_has_no_library(tmp_path, monkeypatch):
    monkeypatch.setattr(native.platform, "machine", lambda: "aarch64")
    native._install(tmp_path / "lib")
    assert list((tmp_path / "lib").iterdir()) == []
