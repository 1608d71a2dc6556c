"""Wrong parameters, wrong configuration files, wrong variables of the environment."""

from damage import Damage, change, make_folder, recode, remove, write
from refusals import Case, given, run

BASE = "conf/base"
CATALOG = f"{BASE}/mnist_training/catalog.yml"
PARAMETERS = f"{BASE}/mnist_training/parameters.yml"
GLOBALS = f"{BASE}/globals.yml"
DIGITS, MATCH = run("mnist_training"), run("faq_matching")

_VALUES: dict[str, list[tuple[str, tuple[str, ...]]]] = {
    "mnist_training": [
        ("exploration.images=0", ("'exploration'", "images should be greater than or equal to 1")),
        ("validation_split.fraction=1.5", ("'validation_split'", "fraction", "less than 1")),
        ("regularisation_sweep.tolerance=high", ("tolerance should be a valid number", "'high'")),
        ("regularisation_sweep.strengths=[]", ("strengths should have at least 1 item",)),
        ("regularisation_sweep.strengths=[-1]", ("strengths.0 should be greater than 0",)),
        ("learning_rate_search.share=2", ("'learning_rate_search'", "share should be less")),
        ("convnet_training.epochs=1.5", ("'convnet_training'", "epochs", "valid integer")),
        ("convnet_training.weight_decay=nan", ("'convnet_training'", "weight_decay", "nan")),
        ("convnet_training.epoch=3", ("did you mean 'convnet_training.epochs'?",)),
        ("seed=-1", ("seed should be greater than or equal to 0",)),
    ],
    "faq_ingestion": [
        ("faq_dump_reading.keep_unanswered=perhaps", ("keep_unanswered", "valid boolean")),
    ],
    "faq_tuning": [
        ("faq_cleaning.min_text=-1", ("'faq_cleaning'", "min_text should be greater")),
        ("faq_split.test_share=1", ("'faq_split'", "test_share should be less than 1")),
        ("faq_features.max_characters=1", ("min_characters must not exceed max_characters",)),
        ("faq_search_space.num_leaves=many", ("num_leaves should be a mapping", "valid integer")),
        ("faq_study_settings.sampler=magic", ("sampler should be 'tpe' or 'random'",)),
        ("faq_refit.folds=1", ("'faq_refit'", "folds should be greater than or equal to 2")),
        ("faq_test.bins=0", ("'faq_test'", "bins should be greater")),
        ("reference_recipe.trees=0", ("'reference_recipe'", "trees should be greater")),
    ],
    "faq_matching": [("faq_matches_wanted.matches=0", ("'faq_matches_wanted'", "matches"))],
    "sensor_ingestion": [
        ("sensor_ingestion.window_seconds=7", ("window_seconds", "must divide a day")),
        ("sensor_ingestion.known_devices=5", ("known_devices should be a list",)),
        ("sensor_ingestion.table_zone=Mars", ("table_zone must name a zone, such as UTC",)),
    ],
    "anomaly_training": [
        ("training_windows.share=0", ("'training_windows'", "share should be greater than 0")),
        ("training_windows.sensors=[zzz]", ("there are no windows of zzz",)),
        ("sensor_models.features=[mode]", ("features.0 should be 'mean'", "(given: 'mode')")),
        ("sensor_models.gamma=wide", ("gamma should be 'tuned', or a valid number",)),
        ("sensor_release.most_false_alarms=-1", ("'sensor_release'", "most_false_alarms")),
    ],
    "anomaly_scoring": [("window_scoring.worst=-1", ("'window_scoring'", "worst"))],
    "style_transfer": [
        ("style_transfer.piece_frames=0", ("'style_transfer'", "piece_frames")),
        ("restyling.precision=int8", ("'restyling'", "precision")),
        ("video_encoding.quality=99", ("'video_encoding'", "quality", "less than or equal to 51")),
    ],
    "style_training": [
        ("style_training.content_layer=conv9_9", ("content_layer should be 'conv1_1'", "conv9_9")),
    ],
    "sample_data": [("digit_sample_split.fraction=0", ("'digit_sample_split'", "fraction"))],
}
_PARAMETERS = [
    Case(value, given(pipeline, value), parts)
    for pipeline, values in _VALUES.items()
    for value, parts in values
]


def broken(name: str, content: str, *parts: str) -> Case:
    """A configuration file of other content."""
    path = f"{BASE}/{name}"
    return Case(f"{name} is {content!r}", DIGITS, (path, *parts), write(path, content))


def entry(name: str, old: str, new: str, *parts: str) -> Case:
    """Another entry in the catalog."""
    return Case(name, DIGITS, parts, change(CATALOG, old, new))


_IDX = "quartet.datasets.idx.IDXDataset"
_NAMED = "'mnist_train_images'"
_FILES = [
    broken("mnist_training/catalog.yml", "a: [1\nb: 2", "line 2", "no YAML"),
    broken("mnist_training/parameters.yml", "a:\n\t- 1", "line 2", "no YAML"),
    broken("globals.yml", "raw: {", "line 1", "no YAML"),
    broken("credentials.yml", "a: 1\nb: ]", "line 2", "no YAML"),
    broken("mlflow.yml", "a: 'b", "no YAML"),
    broken("mnist_training/parameters.yml", "- a\n- b\n", "expected entries", "found list"),
    broken("mnist_training/catalog.yml", "- a\n- b\n", "expected entries", "found list"),
    broken("globals.yml", "raw: a\nraw: b\n", "line 2: 'raw' stands here a second time"),
    Case("globals in UTF-16", DIGITS, (GLOBALS, "UTF-8"), recode(GLOBALS, "utf-16")),
    Case("globals a folder", DIGITS, (GLOBALS, "is a folder"), make_folder(GLOBALS)),
    Case("globals missing", DIGITS, ("globals.yml has no entry 'raw'"), remove(GLOBALS)),
    Case("logs missing", DIGITS, ("azureml",), remove(f"{BASE}/azureml.yml")),
    Case(
        "parameters missing",
        DIGITS,
        ("params:exploration", "no catalog.yml or parameters.yml"),
        change(PARAMETERS, "exploration:", "explration:"),
    ),
    Case(
        "parameter unknown",
        DIGITS,
        ("'exploration'", "imges is not a setting"),
        change(PARAMETERS, "  images: 30", "  imges: 30"),
    ),
    Case(
        "parameter points nowhere",
        DIGITS,
        ("exploration.seed", "no entry 'sed'"),
        change(PARAMETERS, "seed: ${seed}", "seed: ${sed}"),
    ),
    Case(
        "credentials unknown",
        run("sensor_ingestion"),
        ("'sensr_database'", "credentials.yml"),
        change(
            f"{BASE}/sensor_ingestion/catalog.yml",
            "credentials: sensor_database",
            "credentials: sensr_database",
        ),
    ),
    Case(
        "entry twice",
        DIGITS,
        ("train_digits", "catalog_two.yml", "uplicate"),
        write(f"{BASE}/mnist_training/catalog_two.yml", "train_digits: {type: json.JSONDataset}"),
    ),
    entry("type unknown", _IDX, "quartet.datasets.idx.Idx", _NAMED, "'Idx' not found in"),
    entry("type nowhere", _IDX, "nowhere.Dataset", _NAMED, "No module named 'nowhere'"),
    entry("type missing", f"  type: {_IDX}\n", "", _NAMED, "'type' is missing"),
    entry("key unknown", "  dtype: uint8", "  dtipe: uint8", _NAMED, "no key 'dtipe'"),
    entry("entry missing", "mnist_train_images:", "mnist_train_imgs:", _NAMED, "catalog.yml"),
    entry("root unknown", "${globals:raw}", "${globals:rw}", "globals.yml has no entry 'rw'"),
]


def variable(name: str, value: str, *parts: str, damage: Damage | None = None) -> Case:
    """A variable of the environment."""
    return Case(f"{name}={value}", MATCH, parts, damage, {name: value})


_VARIABLES = [
    variable("KEDRO_ENV", "nowhere", "no environment 'nowhere'", "conf/nowhere"),
    variable(
        "MLFLOW_TRACKING_URI", "http://127.0.0.1:9", "127.0.0.1:9 does not answer", "start it"
    ),
    variable("MLFLOW_TRACKING_URI", "nonsense://x", "'nonsense://x'", "sqlite:///mlflow.db"),
    variable("MLFLOW_TRACKING_URI", "./mlruns", "'./mlruns'", "MLFLOW_TRACKING_URI"),
    variable("MLFLOW_RUN_ID", "nonsense", "MLFLOW_RUN_ID says 'nonsense'", "unset it"),
    variable("KEDRO_CLOUD_STEP_REPORT", "/nowhere/report.json", "no folder /nowhere", "make it"),
    variable(
        "KEDRO_CLOUD_TRACEBACK",
        "0",
        "faq_questions=FILE",
        damage=remove("data/01_raw/faq/new-questions.csv"),
    ),
]

SETTINGS = [*_PARAMETERS, *_FILES, *_VARIABLES]
