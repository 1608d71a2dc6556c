"""The SDK must wait for its first use, and then be what it always was."""

import subprocess
import sys

from support import ROOT

BEGIN = """
import sys
from quartet.azure.deferred import defer_sdk
defer_sdk()
"""


def run(code):
    result = subprocess.run(
        [sys.executable, "-c", BEGIN + code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_the_plugin_is_there_before_the_sdk_is():
    run("""
import kedro_azureml.cli, kedro_azureml.hooks
assert not [name for name in sys.modules if name.startswith("azure.ai.ml")]
assert not hasattr(sys.modules["azure.ai"], "ml")
""")


def test_what_the_plugin_names_is_imported_when_it_is_called():
    run("""
from kedro_azureml import generator
made = generator.Input(type="uri_folder")
from azure.ai.ml import Input
assert type(made) is Input
""")


def test_what_the_plugin_names_is_imported_when_it_is_looked_into():
    run("""
from kedro_azureml import client
from kedro_azureml.datasets import asset_dataset
method = client.MLClient.from_config
download = asset_dataset.artifact_utils.download_artifact_from_aml_uri
from azure.ai.ml import MLClient
from azure.ai.ml._artifacts import _artifact_utilities
assert method == MLClient.from_config
assert download._meant() is _artifact_utilities.download_artifact_from_aml_uri
""")


def test_others_get_the_sdk_itself():
    run("""
import kedro_azureml.cli
from azure.ai.ml import MLClient
from azure.ai.ml.exceptions import ValidationException
assert isinstance(MLClient, type) and issubclass(ValidationException, Exception)
""")


def test_a_plugin_that_has_the_sdk_keeps_it():
    run("""
import azure.ai.ml
from kedro_azureml import generator
assert generator.Input is azure.ai.ml.Input
""")


def test_a_name_that_the_sdk_does_not_have_is_an_error_at_its_use():
    run("""
from quartet.azure import deferred
name = deferred._Named("azure.ai.ml", "NoSuchThing")
try:
    name()
except AttributeError as error:
    assert "NoSuchThing" in str(error)
else:
    raise AssertionError
""")


def test_a_second_time_changes_nothing():
    run("""
before = list(sys.meta_path)
defer_sdk()
assert sys.meta_path == before
""")
