"""The pipeline reaches the accuracies of the README on the real MNIST."""

import pytest

from support import make_workspace, read_metrics, run_kedro


@pytest.fixture(scope="module")
def metrics(tmp_path_factory, real_mnist):
    folder = make_workspace(tmp_path_factory.mktemp("real"))
    result = run_kedro(
        folder, "run", "--pipelines", "mnist_training", "--params", f"mnist_data={real_mnist}"
    )
    assert result.returncode == 0, result.stderr
    return read_metrics(folder, "mnist_training")


def test_the_logistic_regression_beats_the_tutorial(metrics):
    assert metrics["logistic_test_accuracy"] >= 0.925


def test_the_network_reaches_99_5_percent(metrics):
    assert metrics["convnet_test_accuracy"] >= 0.995
