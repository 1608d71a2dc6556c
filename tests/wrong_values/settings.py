"""Invalid configuration files and environment variables."""

from damage import Damage, change, recode, remove, write
from wrong_values.cases import Case, run

BASE = "conf/base"
CATALOG = f"{BASE}/mnist_training/catalog.yml"
PARAMETERS = f"{BASE}/mnist_training/parameters.yml"
GLOBALS = f"{BASE}/globals.yml"
DIGITS, MATCH = run("mnist_training"), run("faq_matching")


def broken(name: str, content: str, *parts: str) -> Case:
    """Return a case of a configuration file with other content."""
    path = f"{BASE}/{name}"
    return Case(f"{name} is {content!r}", DIGITS, (path, *parts), write(path, content))


def entry(name: str, old: str, new: str, *parts: str) -> Case:
    """Return a case of a changed catalog entry."""
    return Case(name, DIGITS, parts, change(CATALOG, old, new))


_IMAGES = "quartet.datasets.labelled_images.LabelledImagesDataset"
_NOWHERE = "quartet.datasets.labelled_images.Idx"
_NAMED = "'mnist_train_images'"
_FILES = [
    broken("mnist_training/catalog.yml", "a: [1\nb: 2", "line 2", "invalid YAML"),
    broken("credentials.yml", "a: 1\nb: ]", "line 2", "invalid YAML"),
    broken("mlflow.yml", "sever: {}", "sever is not a setting"),
    broken("mnist_training/parameters.yml", "- a\n- b\n", "expected entries", "found list"),
    Case("globals in UTF-16", DIGITS, (GLOBALS, "UTF-8"), recode(GLOBALS, "utf-16")),
    Case("globals missing", DIGITS, ("globals.yml has no entry", "spelling"), remove(GLOBALS)),
    Case("logs missing", DIGITS, ("azureml",), remove(f"{BASE}/azureml.yml")),
    Case(
        "parameters missing",
        DIGITS,
        ("params:exploration", "add it to catalog.yml or parameters.yml"),
        change(PARAMETERS, "exploration:", "explration:"),
    ),
    Case(
        "parameter unknown",
        DIGITS,
        ("'exploration'", "imges is not a setting"),
        change(PARAMETERS, "  images: 30", "  imges: 30"),
    ),
    entry("type unknown", _IMAGES, _NOWHERE, _NAMED, "'Idx' not found in"),
    entry("key of another name", "  content: im", "  contant: im", _NAMED, "'content' is missing"),
    entry("entry missing", "mnist_train_images:", "mnist_train_imgs:", _NAMED, "catalog.yml"),
]


def variable(name: str, value: str, *parts: str, damage: Damage | None = None) -> Case:
    """Return a case of an environment variable."""
    return Case(f"{name}={value}", MATCH, parts, damage, {name: value})


_VARIABLES = [
    variable("KEDRO_ENV", "nowhere", "environment 'nowhere' does not exist", "conf/nowhere"),
    variable(
        "MLFLOW_TRACKING_URI", "http://127.0.0.1:9", "127.0.0.1:9 does not respond", "start it"
    ),
    variable("MLFLOW_TRACKING_URI", "nonsense://x", "'nonsense://x'", "sqlite:///mlflow.db"),
    variable("MLFLOW_TRACKING_URI", "./mlruns", "'./mlruns'", "MLFLOW_TRACKING_URI"),
    variable(
        "KEDRO_CLOUD_STEP_REPORT",
        "/nowhere/report.json",
        "folder /nowhere does not exist",
        "create it",
    ),
    variable(
        "KEDRO_CLOUD_TRACEBACK",
        "0",
        "faq_questions=FILE",
        damage=remove("data/01_raw/faq/new-questions.csv"),
    ),
]

SETTINGS = [*_FILES, *_VARIABLES]
