"""Data as people have it reaches a result: only its path is set, and at most one parameter."""

import gzip
import shutil
import zipfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kedro_cloud.core.tracking_database import create_database
from quartet.digits.data import SIDE
from quartet.digits.sample import load_bundled_digits
from support import make_workspace, read_metrics, run_kedro

pytestmark = pytest.mark.integration

SHORT_TRAINING = (
    "convnet_training.minimum_steps=5,convnet_training.epochs=1,regularisation_sweep.max_passes=50"
)
SHORT_STUDY = "faq_study_settings.trials=2,faq_search_space.trees=20,reference_recipe.trees=10"
THINGS = ["door", "window", "roof", "floor", "wall", "stair", "garden", "cellar"]
THINGS += ["kitchen", "bath", "lamp", "chair"]
PHRASES = (
    "how do i paint the {}?",
    "new colour for my {}",
    "the {} looks shabby, what paint?",
    "which brush for a {}",
    "{} needs painting soon",
    "painting a {} in winter",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = make_workspace(tmp_path_factory.mktemp("people") / "project")
    create_database(folder / "empty.db")  # once: it takes seconds
    return folder


@pytest.fixture
def project(made):
    """A project without results of earlier cases."""
    shutil.copy(made / "empty.db", made / "mlflow.db")
    yield made
    shutil.rmtree(made / "mine", ignore_errors=True)
    for name in ("mlartifacts", "data/06_models/faq", "data/06_models/mnist"):
        shutil.rmtree(made / name, ignore_errors=True)


def run(project, pipeline, parameters):
    result = run_kedro(project, "run", "--pipelines", pipeline, "--params", parameters)
    assert result.returncode == 0, result.stderr
    return read_metrics(project, pipeline), result.stderr + result.stdout


def ask(phrase, thing):
    return phrase.format(thing)


def write_one_csv(folder):
    rows = [(ask(PHRASES[0], thing), f"Sand the {thing} first.") for thing in THINGS]
    pd.DataFrame(rows, columns=["question", "answer"]).to_csv(folder / "faq.csv", index=False)
    return "faq.csv", {"originals": 12, "duplicates": 0}


def write_excel_export(folder):
    """Semicolons, a byte order mark, and names in another case."""
    rows = [(i, ask(PHRASES[0], thing), f"Sand; the {thing}") for i, thing in enumerate(THINGS)]
    table = pd.DataFrame(rows, columns=["ID", "Question", "ANSWER"])
    table.to_csv(folder / "Export 2026.csv", index=False, sep=";", encoding="utf-8-sig")
    return "", {"originals": 12, "duplicates": 0}


def write_repeated_answers(folder):
    """Several wordings of a question have the same answer: they are its duplicates."""
    rows = [(ask(p, thing), f"Sand the {thing} first.") for thing in THINGS for p in PHRASES]
    pd.DataFrame(rows, columns=["question", "answer"]).to_csv(folder / "faq.csv", index=False)
    return "", {"originals": 12, "duplicates": 60, "test_questions": 12}


def write_text_ids(folder):
    rows = [(f"Q-{i}", ask(PHRASES[0], thing), f"Sand {thing}") for i, thing in enumerate(THINGS)]
    questions = pd.DataFrame(rows, columns=["id", "question", "answer"])
    questions.to_csv(folder / "questions.csv", index=False)
    known = [(f"Q-{i}", ask(p, t)) for i, t in enumerate(THINGS) for p in PHRASES[1:]]
    duplicates = pd.DataFrame(known, columns=["AnswerId", "question"])
    duplicates.to_csv(folder / "duplicates.tsv", index=False, sep="\t")
    return "", {"originals": 12, "duplicates": 60}


def write_few_duplicates(folder):
    write_one_csv(folder)
    known = [(i + 1, ask(PHRASES[1], thing)) for i, thing in enumerate(THINGS[:5])]
    table = pd.DataFrame(known, columns=["AnswerId", "question"])
    table.to_csv(folder / "paraphrases.csv", index=False)
    return "", {"originals": 12, "duplicates": 5}


def write_parquet(folder):
    """Numbers beyond the precision of floats."""
    start = 2**60
    rows = [(start + i, ask(PHRASES[0], t), f"Sand {t}") for i, t in enumerate(THINGS)]
    questions = pd.DataFrame(rows, columns=["Id", "question", "answer"])
    questions.to_parquet(folder / "faq.parquet")
    known = [(start + i, ask(p, t)) for i, t in enumerate(THINGS) for p in PHRASES[1:4]]
    duplicates = pd.DataFrame(known, columns=["AnswerId", "question"])
    duplicates.to_parquet(folder / "dups.parquet")
    return "", {"originals": 12, "duplicates": 36}


def write_other_columns(folder):
    rows = [(ask(PHRASES[0], thing), f"Sand the {thing} first.") for thing in THINGS]
    table = pd.DataFrame(rows, columns=["Anfrage", "answer"])
    (folder / "faq.csv.gz").write_bytes(gzip.compress(table.to_csv(index=False).encode()))
    return "faq.csv.gz", {"originals": 12, "faq_columns.question": "Anfrage"}


QUESTIONS = [
    write_one_csv,
    write_excel_export,
    write_repeated_answers,
    write_text_ids,
    write_few_duplicates,
    write_parquet,
    write_other_columns,
]


@pytest.mark.parametrize(
    "write", QUESTIONS, ids=lambda write: write.__name__.removeprefix("write_")
)
def test_questions_are_matched(project, write):
    folder = project / "mine"
    folder.mkdir()
    file, expected = write(folder)
    given = "".join(f",{key}={value}" for key, value in expected.items() if "." in key)
    path = f"mine/{file}" if file else "mine"
    metrics, log = run(project, "faq_tuning", f"faq_data={path},{SHORT_STUDY}{given}")
    assert {name: metrics[name] for name in expected if "." not in name} == {
        name: value for name, value in expected.items() if "." not in name
    }
    is_untuned = metrics["duplicates"] < 60  # 36 leave 12 for training
    assert ("Not tuned" in log) == (metrics["trials"] == 0) == is_untuned
    (project / "mine/new.csv").write_text("question\nmy roof needs some new paint\n")
    run(project, "faq_matching", f"faq_data={path},faq_questions=mine/new.csv")
    (first, *_) = pd.read_csv(
        project / "data/08_reporting/faq_matching/matches.csv", dtype=str
    ).to_dict("records")
    assert "roof" in first["original_text"]
    assert "roof" in first["answer"]
    ids = {"write_text_ids": "Q-2", "write_parquet": str(2**60 + 2)}
    assert first["original"] == ids.get(write.__name__, first["original"])


def make_digits(classes=5, images=12):
    """Return images and labels of the first classes, the same number of each."""
    bundled = load_bundled_digits()
    rows = np.concatenate(
        [np.flatnonzero(bundled["labels"] == digit)[:images] for digit in range(classes)]
    )
    return bundled["images"][rows], bundled["labels"][rows]


def split(images, labels):
    test = np.arange(len(labels)) % 3 == 0
    return images[~test], labels[~test], images[test], labels[test]


def save_pictures(folder, images, names):
    for number, (image, name) in enumerate(zip(images, names, strict=True)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / name / f"{number}.png")


def write_npz(folder):
    x_train, y_train, x_test, y_test = split(*make_digits())
    np.savez(folder / "mnist.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return "mnist.npz", "", 20


def write_npz_of_floats(folder):
    x_train, y_train, x_test, y_test = split(*make_digits())
    np.savez_compressed(
        folder / "d.npz",
        train_images=(x_train / 255).astype(np.float32)[..., None],
        train_labels=np.eye(10)[y_train],
        test_images=(x_test / 255).astype(np.float32)[..., None],
        test_labels=np.eye(10)[y_test],
    )
    return "", "", 20


def write_class_folders(folder):
    """Dark ink on light paper, larger than 28 pixels, classes by name, no test set."""
    images, labels = make_digits()
    large = [np.kron(255 - image, np.ones((2, 2), np.uint8)) for image in images]
    save_pictures(folder, large, [f"class {'abcde'[label]}" for label in labels])
    return "", "digit_images.resize=true", 10


def write_split_folders(folder):
    x_train, y_train, x_test, y_test = split(*make_digits())
    save_pictures(folder / "Train", x_train, y_train.astype(str))
    save_pictures(folder / "Test", x_test, y_test.astype(str))
    return "", "", 20


def write_kaggle(folder):
    """The test set of a competition has no labels."""
    images, labels = make_digits()
    pixels = [f"pixel{i}" for i in range(SIDE**2)]
    table = pd.DataFrame(images.reshape(len(images), -1), columns=pixels)
    table.head(3).to_csv(folder / "test.csv", index=False)
    table.insert(0, "label", labels)
    table.to_csv(folder / "train.csv", index=False)
    return "", "", 10


def write_csv_without_header(folder):
    x_train, y_train, x_test, y_test = split(*make_digits())
    for name, images, labels in (("train", x_train, y_train), ("test", x_test, y_test)):
        rows = np.column_stack([labels, images.reshape(len(images), -1)])
        np.savetxt(folder / f"mnist_{name}.csv", rows, "%d", ",")
    return "", "", 20


def write_letters(folder):
    images, labels = make_digits()
    table = pd.DataFrame(images.reshape(len(images), -1))
    table.insert(0, "letter", np.array(list("VWXYZ"))[labels])
    table.to_csv(folder / "letters.tsv", sep="\t", index=False)
    return "letters.tsv", "", 10


def write_small_pixels(folder):
    """scikit-learn's own levels from 0 to 16, 8 x 8 pixels."""
    from sklearn.datasets import load_digits

    bundled = load_digits()
    np.savez(folder / "digits.npz", X=bundled.data[:150], y=bundled.target[:150])
    return "", "digit_images.resize=true", 30


DIGITS = [
    write_npz,
    write_npz_of_floats,
    write_class_folders,
    write_split_folders,
    write_kaggle,
    write_csv_without_header,
    write_letters,
    write_small_pixels,
]


@pytest.mark.parametrize("write", DIGITS, ids=lambda write: write.__name__.removeprefix("write_"))
def test_digits_are_classified(project, write):
    folder = project / "mine"
    folder.mkdir()
    file, given, tested = write(folder)
    path = f"mine/{file}" if file else "mine"
    parameters = ",".join(filter(None, [f"mnist_data={path}", SHORT_TRAINING, given]))
    metrics, _ = run(project, "mnist_training", parameters)
    assert metrics["test_images"] == tested
    best = max(metrics["logistic_test_accuracy"], metrics["convnet_test_accuracy"])
    assert best > 0.6
    table = pd.read_csv(project / "data/08_reporting/mnist_training/class_counts.csv", dtype=str)
    names = {"write_letters": "V", "write_class_folders": "class a"}
    assert table["digit"].iloc[0] == names.get(write.__name__, "0")


def test_other_tables_are_named(project):
    folder = project / "mine"
    folder.mkdir()
    write_one_csv(folder)
    (folder / "dupes of 2026.csv").write_text("question,AnswerId\nhow?,1\n")
    result = run_kedro(project, "run", "--pipelines", "faq_tuning", "--params", "faq_data=mine")
    assert result.returncode == 1
    assert "dupes of 2026.csv; rename" in result.stderr


def test_an_archive_is_not_read_as_a_table(project):
    folder = project / "mine"
    folder.mkdir()
    with zipfile.ZipFile(folder / "faq.csv", "w") as archive:
        archive.writestr("faq.csv", "question,answer\n")
    result = run_kedro(project, "run", "--pipelines", "faq_tuning", "--params", "faq_data=mine")
    assert "is a zip archive" in result.stderr
