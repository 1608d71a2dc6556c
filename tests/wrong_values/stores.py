"""Invalid databases, registries and models."""

from damage import (
    both,
    damage_all,
    execute,
    make_folder,
    own_registry,
    remove,
    shorten,
    write,
)
from wrong_values.cases import Case, run, with_params

SENSORS, STUDY, TRACKING = (
    "data/03_primary/sensors/sensors.db",
    "data/06_models/faq/study.db",
    "mlflow.db",
)
READ, TRAIN, SCORE = run("sensor_ingestion"), run("anomaly_training"), run("anomaly_scoring")
MATCH, SEARCH = run("faq_matching"), run("faq_tuning", "--nodes", "tune_ranker")
JUNK = b"no database " * 300
OTHER_SCHEMA = "DROP TABLE sensor_windows; CREATE TABLE sensor_windows (a INTEGER)"
NO_MODELS = "DELETE FROM model_version_tags; DELETE FROM model_versions"
MODELS = "mlartifacts/*/artifacts"


def make_url_case(url: str, *parts: str) -> Case:
    """Return a case of another URL of the sensor database."""
    return Case(
        f"sensors at {url}", with_params("anomaly_training", f"sensor_database={url}"), parts
    )


def copy_digits_model_to(name: str) -> str:
    """Return SQL that registers the classifier of digits as another model."""
    return "; ".join(
        f"UPDATE model_versions SET {column} = (SELECT {column} FROM model_versions "
        f"WHERE name = 'mnist_classifier') WHERE name = '{name}'"
        for column in ("source", "storage_location")
    )


_SENSORS = [
    Case("sensors damaged", READ, (SENSORS, "not a database", "restore"), write(SENSORS, JUNK)),
    Case("sensors truncated", SCORE, (SENSORS, "malformed", "restore"), shorten(SENSORS, 5000)),
    Case("sensors a folder", TRAIN, (SENSORS, "Check that its folder"), make_folder(SENSORS)),
    Case(
        "sensors missing",
        TRAIN,
        (SENSORS, "kedro run --pipelines sensor_ingestion"),
        remove(SENSORS),
    ),
    Case(
        "sensors other tables",
        SCORE,
        ("table sensor_windows lacks", "new database for the sensors"),
        execute(SENSORS, OTHER_SCHEMA),
    ),
    make_url_case("hello", "'sensor_", "sqlite:///FILE"),
    make_url_case("sqlite://", "in memory: data would be lost"),
    make_url_case("mssql+pyodbc://127.0.0.1:9/x", "127.0.0.1:9", "`az login`"),
    make_url_case("mssql+pyodbc://u:secret@127.0.0.1/x?driver=none", "'none'", "make database"),
]
_TRACKING = [
    Case("tracking damaged", MATCH, (TRACKING, "restore a backup"), write(TRACKING, JUNK)),
    Case(
        "tracking other tables",
        MATCH,
        (TRACKING, "belongs to another application"),
        both(remove(TRACKING), execute(TRACKING, "CREATE TABLE a (b)")),
    ),
    Case(
        "tracking newer",
        MATCH,
        ("out-of-date database schema",),
        execute(TRACKING, "UPDATE alembic_version SET version_num = 'zzzz'"),
    ),
    Case(
        "ranker missing",
        MATCH,
        ("FAQ_ranker: no version is registered", "faq_tuning"),
        execute(TRACKING, NO_MODELS),
    ),
    Case(
        "ranker replaced by digits",
        MATCH,
        ("not a model of this project", "run the pipeline"),
        execute(TRACKING, copy_digits_model_to("FAQ_ranker")),
    ),
    Case(
        "sensor model files missing",
        SCORE,
        ("sensor_models", "version 1", "restore its files or delete"),
        own_registry(remove("mlartifacts")),
    ),
    Case(
        "sensor models damaged",
        SCORE,
        ("sensor_models.safetensors is damaged",),
        own_registry(
            damage_all(
                f"{MODELS}/sensor_models/**/*.safetensors", lambda old: old[:-100] + b"x" * 100
            )
        ),
    ),
]
_STUDY = [
    Case("study damaged", SEARCH, (STUDY, "move the file away"), write(STUDY, JUNK)),
    Case(
        "study other tables",
        SEARCH,
        (STUDY, "not an Optuna database"),
        both(remove(STUDY), execute(STUDY, "CREATE TABLE a (b)")),
    ),
    Case("study a folder", SEARCH, (STUDY, "cannot be opened"), make_folder(STUDY)),
]

STORES = [*_SENSORS, *_TRACKING, *_STUDY]
