"""Bad input must end in one line and a code, before any output is touched."""

import gzip
import hashlib
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from quartet.datasets.idx import IDXDataset
from support import QUICK, run_kedro

RAW = "data/01_raw/mnist"
TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
TEST_LABELS = "t10k-labels-idx1-ubyte.gz"


def outputs(folder: Path) -> dict[str, str]:
    """Checksums of everything a run may write, the registry and its artifacts included."""
    roots = [folder / "data", folder / "mlartifacts"]
    files = [path for root in roots for path in root.rglob("*") if path.is_file()]
    found = {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if "01_raw" not in path.parts
    }
    database = folder / "mlflow.db"
    if database.exists():
        with sqlite3.connect(database) as connection:
            rows = connection.execute("SELECT name, version FROM model_versions").fetchall()
        found["registry"] = repr(sorted(rows))
    return found


@pytest.fixture
def project(trained_workspace, tmp_path):
    """A project in which a run has succeeded, to see that a bad one changes nothing."""
    import shutil

    return Path(shutil.copytree(trained_workspace, tmp_path / "project"))


def refused(project, *arguments, complaint, before=None):
    """Run, and check the one line, the exit code and that nothing has changed."""
    before = outputs(project) if before is None else before
    result = run_kedro(project, "run", "--pipelines", "mnist_training", *arguments)
    assert result.returncode == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, result.stderr
    assert "Traceback" not in result.stderr
    for part in complaint:
        assert part in errors[0], errors[0]
    return before


def unchanged(project, before):
    assert outputs(project) == before
    assert "registry" in before


def truncate(folder):
    path = folder / TRAIN_IMAGES
    path.write_bytes(path.read_bytes()[:-1000])


def shorten(folder):
    path = folder / TRAIN_IMAGES
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-1000]))


def swap(folder):
    images, labels = folder / TRAIN_IMAGES, folder / TRAIN_LABELS
    labels.rename(folder / "aside")
    images.rename(labels)
    (folder / "aside").rename(images)


def relabel(name, function):
    def change(folder):
        dataset = IDXDataset(filepath=str(folder / name))
        dataset.save(function(dataset.load()))

    return change


def out_of_range(labels):
    labels[17] = 12
    return labels


def empty(folder):
    for name in (TRAIN_IMAGES, TRAIN_LABELS):
        relabel(name, lambda array: array[:0])(folder)


def remove(folder):
    (folder / TRAIN_LABELS).unlink()


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (truncate, ["mnist_train_images", TRAIN_IMAGES, "damaged gzip file", "fetch it again"]),
        (shorten, ["mnist_train_images", "cut short", "fetch it again"]),
        (swap, ["mnist_train_images", "expected an array of n x 28 x 28", "swapped"]),
        (remove, ["mnist_train_labels", "no such file"]),
        (
            relabel(TRAIN_LABELS, out_of_range),
            ["mnist_train_labels", "training set's label in row 17 is 12, expected 0 to 9"],
        ),
        (
            relabel(TEST_LABELS, lambda labels: labels[:-1]),
            ["mnist_test_labels", "images but", "labels; take both files from the same source"],
        ),
        (empty, ["training set is empty", "at least one image"]),
        (
            relabel(TRAIN_LABELS, np.zeros_like),
            ["holds only the digit 0; a classifier needs at least two"],
        ),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_bad_file_stops_the_run_before_any_output_is_replaced(project, damage, complaint):
    damage(project / RAW)
    unchanged(project, refused(project, complaint=complaint))


@pytest.mark.parametrize(
    ("parameter", "complaint"),
    [
        ("mnist_dta=x", ["'mnist_dta' is not known; did you mean 'mnist_data'?"]),
        ("convnet_training.epoch=3", ["did you mean 'convnet_training.epochs'?"]),
        (
            "convnet_training.epochs=0",
            ["'convnet_training'", "epochs", "greater than or equal to 1"],
        ),
        ("validation_split.fraction=1.5", ["'validation_split'", "fraction", "less than 1"]),
        ("regularisation_sweep.tolerance=high", ["tolerance", "valid number", "'high'"]),
        ("seed=-1", ["seed", "greater than or equal to 0"]),
        ("mnist_data=nowhere", ["mnist_train_images", "nowhere", "no such file"]),
    ],
)
def test_a_bad_parameter_is_named_with_what_was_expected(project, parameter, complaint):
    unchanged(project, refused(project, "--params", parameter, complaint=complaint))


def test_an_output_folder_that_cannot_be_made_stops_the_run_at_once(project):
    import shutil

    shutil.rmtree(project / "data/08_reporting")
    (project / "data/08_reporting").write_text("a file in the way")
    before = outputs(project)
    refused(
        project, complaint=["'class_counts'", "data/08_reporting/mnist_training", "cannot be made"]
    )
    unchanged(project, before)


@pytest.mark.parametrize("damage", [lambda old: b"not a database" * 1000, lambda old: old[:5000]])
def test_a_damaged_tracking_database_is_named_with_what_to_do(project, damage):
    before = outputs(project)
    del before["registry"]
    database = project / "mlflow.db"
    database.write_bytes(damage(database.read_bytes()))
    content = database.read_bytes()
    refused(
        project,
        "--params",
        QUICK,
        complaint=["mlflow.db cannot be read", "restore it from a copy, or move it away"],
        before=before,
    )
    assert database.read_bytes() == content
    database.unlink()
    assert outputs(project) == before


def test_an_unknown_pipeline_is_named_with_what_was_meant(project):
    result = run_kedro(project, "run", "--pipelines", "mnist_trainin")
    assert result.returncode == 1
    assert "mnist_training" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


def test_fetching_an_unknown_thing_tells_what_there_is(project):
    result = run_kedro(project, "fetch", "mnits")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        "Error: there is nothing to fetch by the name 'mnits'; known: mnist, vgg"
    )
