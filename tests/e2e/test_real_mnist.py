"""The pipeline reaches the accuracies of the README on the real MNIST."""

import json

import pytest

from support import run_kedro


@pytest.fixture(scope="module")
def metrics(tmp_path_factory, real_mnist):
    from support import make_workspace

    folder = make_workspace(tmp_path_factory.mktemp("real"))
    result = run_kedro(
        folder, "run", "--pipelines", "mnist_training", "--params", f"mnist_data={real_mnist}"
    )
    assert result.returncode == 0, result.stderr
    return json.loads((folder / "data/08_reporting/mnist_training/metrics.json").read_text())


def test_the_logistic_regression_beats_the_tutorial(metrics):
    assert metrics["logistic_test_accuracy"] >= 0.925


def test_the_network_reaches_99_5_percent(metrics):
    assert metrics["convnet_test_accuracy"] >= 0.995
