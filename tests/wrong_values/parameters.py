"""Invalid values of parameters."""

from wrong_values.cases import Case, with_params

VALUES: dict[str, list[tuple[str, tuple[str, ...]]]] = {
    "mnist_training": [
        ("exploration.images=0", ("'exploration'", "images should be greater than or equal to 1")),
        ("validation_split.fraction=1.5", ("'validation_split'", "fraction", "less than 1")),
        ("regularisation_sweep.tolerance=high", ("tolerance should be a valid number", "'high'")),
        ("regularisation_sweep.strengths=[]", ("strengths should have at least 1 item",)),
        ("regularisation_sweep.strengths=[-1]", ("strengths.0 should be greater than 0",)),
        ("regularisation_sweep.strengths=[1,1]", ("'regularisation_sweep'", "strengths")),
        ("learning_rate_search.learning_rates=[-0.1]", ("learning_rates.0 should be greater",)),
        ("convnet_training.momentum=1", ("momentum should be less than 1",)),
        ("learning_rate_search.share=2", ("'learning_rate_search'", "share should be less")),
        ("convnet_training.epochs=1.5", ("'convnet_training'", "epochs", "valid integer")),
        ("convnet_training.weight_decay=nan", ("'convnet_training'", "weight_decay", "nan")),
        ("convnet_training.epochs=0", ("'convnet_training'", "epochs should be greater than or")),
        ("seed=-1", ("seed should be greater than or equal to 0",)),
    ],
    "faq_ingestion": [
        ("faq_dump_selection.keep_unanswered=perhaps", ("keep_unanswered", "valid boolean")),
    ],
    "faq_tuning": [
        ("faq_cleaning.min_text=-1", ("'faq_cleaning'", "min_text should be greater")),
        (
            "faq_cleaning.min_duplicates=-1",
            ("min_duplicates should be greater than or equal to 0",),
        ),
        ("faq_split.test_share=1", ("'faq_split'", "test_share should be less than 1")),
        ("faq_features.max_characters=1", ("min_characters must not exceed max_characters",)),
        ("faq_search_space.num_leaves=many", ("num_leaves should be a mapping", "valid integer")),
        ("faq_search_space.num_leaves.low=40", ("low (40) must not exceed high",)),
        ("faq_search_space.objective=regression", ("objective must be binary or lambdarank",)),
        ("faq_study_settings.trials=0", ("trials should be greater than or equal to 1",)),
        ("faq_study_settings.sampler=magic", ("sampler should be 'tpe' or 'random'",)),
        ("faq_refit.folds=1", ("'faq_refit'", "folds should be greater than or equal to 2")),
        ("faq_test.bins=0", ("'faq_test'", "bins should be greater")),
        ("reference_recipe.trees=0", ("'reference_recipe'", "trees should be greater")),
    ],
    "faq_matching": [("faq_matching_settings.matches=0", ("'faq_matching_settings'", "matches"))],
    "sensor_ingestion": [
        ("sensor_ingestion.window_seconds=7", ("window_seconds", "must divide a day")),
        ("sensor_ingestion.known_devices=5", ("known_devices should be a list",)),
        ("sensor_ingestion.window_seconds=0", ("window_seconds", "greater than or equal to 1")),
        ("sensor_ingestion.table_zone=Mars", ("table_zone must be a time zone, such as UTC",)),
        ("sensor_ingestion.table_zone=../etc/passwd", ("table_zone must be a time zone",)),
    ],
    "anomaly_training": [
        ("training_windows.share=0", ("'training_windows'", "share should be greater than 0")),
        ("sensor_svm.features=[mode]", ("features.0 should be 'mean'", "(given: 'mode')")),
        ("sensor_svm.nu=0", ("nu should be greater than 0",)),
        ("sensor_svm.nu=0.6", ("nu should be less than or equal to 0.5",)),
        ("sensor_svm.gamma=-1.0", ("gamma",)),
        ("sensor_svm.gamma=wide", ("gamma should be 'tuned', or a valid number",)),
        ("sensor_release.max_false_alarm_ratio=-1", ("'sensor_release'", "max_false_alarm_ratio")),
    ],
    "anomaly_scoring": [
        ("window_scoring.worst=-1", ("'window_scoring'", "worst")),
        ("window_scoring.claim_minutes=0", ("claim_minutes should be greater than 0",)),
    ],
    "style_transfer": [
        ("style_transfer.segment_frames=0", ("'style_transfer'", "segment_frames")),
        ("style_transfer.smoothing=1.0", ("'style_transfer'", "smoothing should be less than or")),
        ("stylizing.precision=int4", ("'stylizing'", "precision")),
        ("video_encoding.quality=99", ("'video_encoding'", "quality", "less than or equal to 51")),
    ],
    "style_training": [
        ("style_training.content_layer=conv9_9", ("content_layer should be 'conv1_1'", "conv9_9")),
    ],
    "sample_data": [("digit_sample_split.fraction=0", ("'digit_sample_split'", "fraction"))],
}
"""By pipeline: values of `--params`, and the expected parts of the message."""

_FOR_THE_DATA: list[tuple[str, str, tuple[str, ...]]] = [
    ("mnist_training", "mnist_data=nowhere", ("mnist_data=FOLDER", "nowhere", "no such file")),
    (
        "faq_tuning",
        "faq_data=nowhere",
        ("faq_answers", "nowhere", "no such file", "faq_data=FOLDER"),
    ),
    (
        "faq_tuning",
        "faq_cleaning.min_duplicates=1000",
        ("0 originals are left, at least 2 are needed",),
    ),
    ("sensor_ingestion", "sensor_captures=nowhere", ("sensor_captures=FOLDER", "nowhere")),
    ("sensor_ingestion", "sensor_ingestion.window_seconds=60", ("60", "300")),
    ("anomaly_training", "training_windows.sensors=[zzz]", ("there are no windows of zzz",)),
    ("anomaly_training", "training_windows.until=soon", ("'soon' is not a time",)),
]
"""Values that are invalid for the data only."""
_INVALID = ("mnist_training", *VALUES["mnist_training"][0])
_UNKNOWN = [
    ("mnist_training", "mnist_dta=x", ("'mnist_dta' does not exist; did you mean 'mnist_data'?",)),
    ("mnist_training", "convnet_training.epoch=3", ("did you mean 'convnet_training.epochs'?",)),
]

PARAMETERS = [
    Case(value, with_params(pipeline, value), parts)
    for pipeline, value, parts in [_INVALID, *_UNKNOWN, *_FOR_THE_DATA]
]
"""For runs, which report all values that a model refuses alike."""
