"""Private names of libraries are used in `compat` only, the one module that an upgrade breaks."""

import ast
import re
import tomllib
from itertools import chain

import pytest

from support import ROOT

NAMED_TUPLES = {"_asdict", "_fields", "_make", "_replace"}
"""Public, though they begin with an underscore."""
IN_SCIENCES = {"_is_amx_tile_supported", "_is_avx512_bf16_supported"}
"""Of torch: sciences import nothing of the project."""
BY_NAME = {"delattr", "getattr", "hasattr", "setattr"}
PACKAGES = ("quartet", "kedro_cloud")
OWN_CLASS = re.compile(r"self|cls|super\(\)")


def is_private(name):
    return name.startswith("_") and not name.endswith("__") and name not in NAMED_TUPLES


def is_own(receiver):
    return OWN_CLASS.fullmatch(ast.unparse(receiver)) is not None


def defined_names(tree):
    """Yield functions, classes, variables, and attributes of `self` and `cls`."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.ClassDef(name=name) | ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.Attribute(value=of, attr=name, ctx=ast.Store()) if is_own(of):
                yield name


def foreign_private_names(tree, own):
    """Yield private names that are read or set on other objects than `self`, `cls` or `super()`."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=of, attr=name) if is_private(name) and not is_own(of):
                if name not in own:
                    yield name
            case ast.Call(func=ast.Name(id=function), args=[of, ast.Constant(value=str(name)), *_]):
                if function in BY_NAME and is_private(name) and not is_own(of):
                    yield name
            case ast.ImportFrom(module=str(module), names=names, level=0):
                if module.partition(".")[0] not in PACKAGES:
                    yield from filter(is_private, module.split("."))
                    yield from (alias.name for alias in names if is_private(alias.name))
            case ast.Import(names=names):
                for alias in names:
                    yield from filter(is_private, alias.name.split("."))


@pytest.fixture(scope="module")
def modules():
    paths = sorted(path for name in PACKAGES for path in (ROOT / "src" / name).rglob("*.py"))
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def test_private_names_of_libraries_are_used_in_compat_only(modules):
    own = {name for tree in modules.values() for name in defined_names(tree)}
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path, tree in modules.items()
        if path.name != "compat.py"
        for name in foreign_private_names(tree, own | IN_SCIENCES)
    ]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "catalog._datasets",
        "node._inputs = 1",
        "getattr(dataset, '_filepath', None)",
        "from azure.ai.ml._utils import x",
        "from kedro.io.core import _parse_filepath",
        "import torch._dynamo",
    ],
)
def test_a_private_name_is_found(line):
    assert list(foreign_private_names(ast.parse(line), own=set()))


def test_libraries_whose_private_names_are_used_have_an_upper_bound():
    texts = [(ROOT / "src" / name / "compat.py").read_text(encoding="utf-8") for name in PACKAGES]
    read_in = {name for text in texts for name in re.findall(r"(?m)^(?:    |# )([a-z-]+) \d", text)}
    assert {"azure-ai-ml", "azure-monitor-opentelemetry", "kedro", "kedro-datasets"} <= read_in
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    texts = [text.partition(";")[0] for text in chain(project["dependencies"], *extras)]
    bounded = {re.split("[<>=]", text)[0] for text in texts if re.search("<|==", text)}
    assert read_in <= bounded
