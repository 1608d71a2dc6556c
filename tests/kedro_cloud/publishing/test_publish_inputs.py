"""Inputs of an endpoint must reach the steps unchanged, or be rejected by name."""

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kedro_cloud.publishing.inputs import (
    PREFIX,
    VARIABLE,
    parse_input,
    with_files,
    with_inputs,
)
from support import GUARD_S, on_ranks

VIDEO = {"video": {"parameter": "video", "type": "string", "pattern": "abfs://[a-z]+/.+"}}


def step(declared, **values):
    """Variables of a step."""
    found = {f"AZUREML_PARAMETER_endpoint_{name}": value for name, value in values.items()}
    return {VARIABLE: json.dumps(declared), **found}


def test_a_step_without_an_endpoint_keeps_its_parameters():
    assert with_inputs('{"a": 1}', {}) == '{"a": 1}'
    assert with_inputs(None, {"AZUREML_PARAMETER_endpoint_video": "abfs://raw/a.mp4"}) is None


def test_inputs_are_merged_with_published_parameters():
    params = with_inputs('{"encoding": {"quality": 20}}', step(VIDEO, video="abfs://raw/a.mp4"))
    assert json.loads(params) == {"encoding": {"quality": 20}, "video": "abfs://raw/a.mp4"}


def test_a_dotted_input_sets_a_nested_parameter():
    declared = {"quality": {"parameter": "encoding.quality", "type": "integer"}}
    params = with_inputs('{"encoding": {"threads": 2}}', step(declared, quality="20"))
    assert json.loads(params) == {"encoding": {"threads": 2, "quality": 20}}


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [("integer", "-3", -3), ("number", "1e-3", 0.001), ("boolean", "True", True)],
)
def test_a_value_is_converted_to_its_declared_type(kind, text, value):
    found = parse_input("x", text, kind)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [("integer", "3.5"), ("integer", "$(id)"), ("number", "nan"), ("boolean", "yes; id")],
)
def test_a_value_of_another_type_is_rejected_with_the_input_name(kind, text):
    with pytest.raises(ValueError, match=f"input 'x': expected {kind}"):
        parse_input("x", text, kind)


@pytest.mark.parametrize(
    "text",
    [
        "${env:AZURE_CLIENT_SECRET}",  # which Kedro's configuration would look up
        "abfs://raw/a\nb.mp4",
        "abfs://raw/a\x1b[2J.mp4",
        "https://elsewhere/a.mp4",
        "abfs://raw/" + 2000 * "a",
        "",
    ],
)
def test_a_string_with_forbidden_characters_is_rejected(text):
    with pytest.raises(ValueError, match="input 'video': "):
        with_inputs(None, step(VIDEO, video=text))


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=100))
def test_any_other_string_is_unchanged(name):
    text = f"abfs://videos/{name.replace('${', '')}!"
    assert json.loads(with_inputs(None, step(VIDEO, video=text)))["video"] == text


def test_a_step_without_its_input_fails():
    with pytest.raises(ValueError, match="input 'video' of the endpoint did not reach this step"):
        with_inputs(None, step(VIDEO))


def run_with_files(command, tmp_path, **values):
    """Run a command in bash after its input values were inserted as Azure ML does."""
    command = with_files(command, values, "END_f00")
    for name, value in values.items():
        command = command.replace(f"${{{{inputs.{PREFIX}{name}}}}}", value)
    environment = {**os.environ, "TMPDIR": str(tmp_path), VARIABLE: json.dumps(VIDEO)}
    arguments = ["bash", "-c", command]
    return subprocess.run(
        arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )


READ = (
    f"{sys.executable} -c 'from kedro_cloud.publishing.inputs import with_inputs;"
    " print(with_inputs(None))'"
)


@pytest.mark.parametrize(
    "end",
    ["it's $(touch gone)", "`touch gone`", '"; touch gone', "\\", ")", "a  b ", "END_f00", "é中"],
)
def test_a_value_in_the_command_is_read_unchanged_and_not_run(tmp_path, end):
    text = f"abfs://raw/{end}"
    found = run_with_files(READ, tmp_path, video=text)
    assert json.loads(found.stdout) == {"video": text}, found.stderr
    assert not (tmp_path / "gone").exists()


def test_a_value_of_several_lines_is_rejected_by_name(tmp_path):
    found = run_with_files(READ, tmp_path, video="abfs://raw/a.mp4\ntouch gone\n")
    assert "input 'video': forbidden character" in found.stderr
    assert not (tmp_path / "gone").exists()


def test_ranks_without_the_variables_receive_those_of_rank_0(tmp_path):
    """MPI may start ranks on other nodes without the environment variables of the first."""
    read = "from kedro_cloud.cli.azureml import _with_inputs; print(_with_inputs(None), flush=True)"
    python = [sys.executable, "-c", read]
    variables = step(VIDEO, video="abfs://raw/a.mp4")
    bare = ["env", *[f"--unset={name}" for name in variables], *python]
    mpirun = on_ranks(1, *python[1:])
    found = subprocess.run(
        [*mpirun, ":", "-n", "1", *bare],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=GUARD_S,
    )
    assert found.stdout.count('{"video": "abfs://raw/a.mp4"}') == 2, found.stderr
