"""Clients of a served model get correct predictions, or errors in one line."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import mlflow
import numpy as np
import pandas as pd
import pytest

from faq.conftest import FEATURES, make_tables
from kedro_cloud.core.ports import check_port
from kedro_cloud.models import local_server
from kedro_cloud.models.scoring import serve
from kedro_cloud.models.scoring.checks import RequestError, parse_batch
from quartet.datasets.registered_model import (
    ModelRelease,
    RegisteredModelDataset,
    _write_model,
)
from quartet.digits import classifier, logistic
from quartet.digits import serving as digits_serving
from quartet.digits.sample import load_bundled_digits
from quartet.faq import serving as faq_serving
from quartet.faq.matcher import fit_matcher
from quartet.faq.ranker import RankerParameters
from quartet.faq.settings import Cleaning, Refit
from support import GUARD_S, clean_environment, free_port, make_workspace, skip_or_fail

IMAGES = load_bundled_digits()["images"]
ZERO = np.zeros((1, 28, 28), int).tolist()
IMAGE_SCHEMA = mlflow.models.infer_signature(IMAGES[:2]).inputs
TEXT_SCHEMA = mlflow.models.infer_signature(pd.DataFrame({"Text0": ["a"]})).inputs


def release(module, file, content, requirements, example):
    return ModelRelease(
        approved=True,
        reason="made by a test",
        loader_module=module,
        files={file: content},
        requirements=requirements,
        input_example=example,
    )


@pytest.fixture(scope="module")
def weights():
    (fit,) = logistic.fit(load_bundled_digits(), [10.0], 1e-2, 100)
    return fit.weights


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, empty_tracking, weights):
    """Return a project with a registered classifier."""
    folder = make_workspace(tmp_path_factory.mktemp("served") / "quartet")
    shutil.copy(empty_tracking, folder / "mlflow.db")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = mlflow.create_experiment("served", str(folder / "mlartifacts"))
    with mlflow.start_run(experiment_id=experiment):
        RegisteredModelDataset(model_name="mnist_classifier").save(
            release(
                "quartet.digits.serving",
                digits_serving.WEIGHTS_FILE,
                classifier.to_bytes("logistic", weights),
                digits_serving.REQUIREMENTS,
                IMAGES[:2],
            )
        )
    mlflow.set_tracking_uri(before)
    return folder


@pytest.fixture(scope="module")
def digits(workspace):
    """Yield the output of the command and the port of its server; Ctrl-C must stop both."""
    port = free_port()
    command = ["cloud", "deploy", "--model", "mnist_classifier", "--local", "--port", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-m", "kedro", *command],
        cwd=workspace,
        env={
            **clean_environment(),
            "KEDRO_CLOUD_MAX_BYTES": "1000000",
            "KEDRO_CLOUD_MAX_ROWS": "100",
        },
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    output = [process.stdout.readline() for _ in range(3)]
    assert output[-1], "the command ended"
    yield output, port
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=GUARD_S) == 0
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=GUARD_S)


def post(port, body, content_type="application/json", path="/invocations"):
    """Return status and response; a body other than str or bytes is sent as JSON."""
    if not isinstance(body, str | bytes) and not hasattr(body, "__next__"):
        body = json.dumps(body)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=GUARD_S)
    headers = {} if content_type is None else {"Content-Type": content_type}
    connection.request("POST", path, body, headers)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, json.loads(content)


@pytest.mark.integration
def test_the_printed_example_command_works(digits, workspace):
    if shutil.which("curl") is None:
        skip_or_fail("curl is not installed: apt-get install curl")
    output, port = digits
    assert output[0].startswith("mnist_classifier version 1 (champion): made by a test")
    assert f"http://127.0.0.1:{port}/invocations" in output[1]
    answer = subprocess.run(
        ["bash", "-c", output[2]], cwd=workspace, capture_output=True, text=True, check=True
    )
    assert len(json.loads(answer.stdout)["predictions"]) == 2


@pytest.mark.integration
def test_served_labels_and_probabilities_equal_those_of_the_model(digits, weights):
    status, answer = post(digits[1], {"inputs": IMAGES[:30].tolist()})
    assert status == 200
    expected = logistic.predict_proba(weights, IMAGES[:30])
    rows = answer["predictions"]
    assert [row["label"] for row in rows] == expected.argmax(axis=1).tolist()
    found = [[row[f"probability_{digit}"] for digit in range(10)] for row in rows]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_served_answers_are_ranked_per_question(tmp_path):
    parameters = RankerParameters(negatives=5, trees=30, word_ngrams=1)
    matcher = fit_matcher(*make_tables(), parameters, FEATURES, Refit(seed=1, folds=3), Cleaning())
    texts = list(make_tables()[1]["text"][::20])
    folder = _write_model(
        release(
            "quartet.faq.serving",
            faq_serving.MATCHER_FILE,
            matcher.to_bytes(),
            faq_serving.REQUIREMENTS,
            pd.DataFrame({"Text0": texts[:2]}),
        ),
        tmp_path,
    )
    # Additional columns are ignored.
    columns = {"columns": ["Id", "Text0"], "data": [[7, text] for text in texts]}
    body = json.dumps({"dataframe_split": columns}).encode()
    answer = json.loads(serve.predict(mlflow.pyfunc.load_model(str(folder)), body, 1000))
    expected = matcher.match(texts, faq_serving.MATCHES)
    rows = answer["predictions"]
    assert [row["original"] for row in rows] == expected["original"].tolist()
    assert [row["answer"] for row in rows] == expected["answer"].tolist()
    np.testing.assert_allclose(
        [row["probability"] for row in rows], expected["probability"], rtol=1e-6
    )


@pytest.mark.integration
def test_concurrent_requests_each_get_their_own_response(digits, weights):
    expected = logistic.predict_proba(weights, IMAGES[:40]).argmax(axis=1)
    with ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(lambda image: post(digits[1], {"inputs": [image.tolist()]}), IMAGES[:40])
        )
    assert [status for status, _ in answers] == [200] * 40
    labels = [answer["predictions"][0]["label"] for _, answer in answers]
    assert labels == expected.tolist()


def rejection(body, schema):
    """Return the error of an invalid body; a body other than str is sent as JSON."""
    text = body if isinstance(body, str) else json.dumps(body)
    with pytest.raises(RequestError) as caught:
        parse_batch(text.encode(), schema, 100)
    assert caught.value.status == 400
    return str(caught.value)


EXPECTED_IMAGES = "expected uint8 of shape (n, 28, 28), found "


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"inputs": [[[0.5] * 28] * 28]}, f"{EXPECTED_IMAGES}floating-point numbers"),
        ({"inputs": [[[256] * 28] * 28]}, "integers from 0 to 255, found 256 to 256"),
        ({"inputs": [[0] * 784]}, f"{EXPECTED_IMAGES}shape (1, 784)"),
        ({"inputs": ZERO[0]}, f"{EXPECTED_IMAGES}shape (28, 28)"),
        ({"inputs": [[[0] * 28] * 27 + [[0]]]}, f"{EXPECTED_IMAGES}lists of different lengths"),
        ({"inputs": [[[True] * 28] * 28]}, f"{EXPECTED_IMAGES}booleans"),
        ({"inputs": [[[None] * 28] * 28]}, f"{EXPECTED_IMAGES}null"),
        ({"inputs": []}, "expected at least one row, found none"),
        ({"inputs": {"a": 1}}, "found an object with a"),
        ({"inputs": ZERO, "params": {}}, "found an object with inputs, params"),
        ({"dataframe_split": {}}, 'expected {"inputs": …} or {"instances": …}'),
        ({}, "found an empty object"),
        ('{"inputs": [[[NaN]]]}', "NaN and infinity are not allowed"),
        ("[" * 100_000, "the body is not valid JSON"),
        ('{"inputs": [[[1' + "0" * 5000 + "]]]}", "the body is not valid JSON"),
    ],
)
def test_an_invalid_batch_of_images_is_rejected(body, message):
    error = rejection(body, IMAGE_SCHEMA)
    assert message in error
    assert "\n" not in error


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"dataframe_records": [{"Text": "a"}]}, "expected a column Text0, found Text"),
        (
            {"dataframe_records": [{"Text0": "a"}, {}]},
            "row 1: Text0: expected a string, found null",
        ),
        ({"dataframe_records": [{"Text0": " "}]}, "expected a string, found an empty string"),
        ({"dataframe_records": [{"Text0": ["a"]}]}, "expected a string, found a list of 1"),
        ({"dataframe_records": "a"}, "expected a list of objects"),
        ({"dataframe_split": {"columns": ["Text0"], "data": []}}, "at least one row, found none"),
        ({"dataframe_split": {"data": [["a"]]}}, "found an object with data"),
        (
            {"dataframe_split": {"columns": [1], "data": [["a"]]}},
            "expected a column Text0, found 1",
        ),
        ({"dataframe_split": {"columns": "Text0", "data": [["a"]]}}, "expected an object"),
        ({"dataframe_split": {"columns": ["Text0"], "data": [["a", "b"]]}}, "1 columns passed"),
        ({"dataframe_split": {"columns": ["Text0", "Text0"], "data": [["a", "b"]]}}, "unique"),
        ({"inputs": ["a"]}, 'expected {"dataframe_split": …} or {"dataframe_records": …}'),
    ],
)
def test_an_invalid_batch_of_questions_is_rejected(body, message):
    assert message in rejection(body, TEXT_SCHEMA)


def test_table_values_have_the_type_of_the_signature():
    schema = mlflow.models.infer_signature(pd.DataFrame({"price": [1.5]})).inputs
    table = parse_batch(b'{"dataframe_records": [{"price": 1}]}', schema, 1)
    assert table["price"].dtype == np.float64


@pytest.mark.integration
def test_other_content_types_are_rejected(digits):
    for content_type in (None, "text/csv", "text/plain"):
        status, answer = post(digits[1], {"inputs": ZERO}, content_type)
        assert status == 415
        assert answer["error"].startswith("expected Content-Type: application/json, found ")


def chunks():
    """Yield the chunks of a body without a Content-Length."""
    for _ in range(20):
        yield b"0" * 100_000


@pytest.mark.integration
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"inputs": ZERO * 101}, "expected at most 100 rows, found 101; send several requests"),
        (b"0" * 2_000_000, "expected at most 1,000,000 bytes; send several requests"),
        (chunks(), "expected at most 1,000,000 bytes; send several requests"),
    ],
)
def test_too_large_a_batch_is_rejected_with_the_limit(digits, body, message):
    status, answer = post(digits[1], body)
    assert status == 413
    assert message in answer["error"]
    assert post(digits[1], {"inputs": ZERO * 100})[0] == 200


class Model:
    """A model of images whose prediction fails; it is its own metadata."""

    def __init__(self, error=None, schema=IMAGE_SCHEMA):
        self.metadata, self.error, self.schema = self, error, schema

    def get_input_schema(self):
        return self.schema

    def predict(self, images):
        raise self.error


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (ValueError("expected b,\nfound a"), 400, "expected b, found a"),
        (RuntimeError("out of memory"), 500, "the model failed; see the server's log"),
    ],
)
def test_errors_of_the_model_reach_clients_as_a_line_without_traceback(error, status, message):
    with pytest.raises(RequestError) as caught:
        serve.predict(Model(error), json.dumps({"inputs": ZERO}).encode(), 1)
    assert (caught.value.status, str(caught.value)) == (status, message)


def test_a_model_without_signature_is_not_served(monkeypatch, tmp_path):
    monkeypatch.setattr(mlflow.pyfunc, "load_model", lambda folder: Model(schema=None))
    with pytest.raises(ValueError, match="has no signature"):
        serve.make_app(tmp_path)


def test_a_port_in_use_is_reported_with_another_to_use():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=f"use another: --port {port + 1}"):
            check_port(port)


@pytest.mark.integration
def test_a_server_that_fails_to_start_is_reported(tmp_path):
    with (
        pytest.raises(ValueError, match="the server ended with exit code 1"),
        local_server.start_server(tmp_path, free_port()),
    ):
        pass
