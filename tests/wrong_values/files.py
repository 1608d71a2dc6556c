"""Invalid input files: missing, damaged, of another format, in another encoding."""

import gzip

import numpy as np

from damage import (
    both,
    change_arrays,
    copy_over,
    damage_all,
    link_to_itself,
    make_folder,
    make_video,
    recode,
    remove,
    shorten,
    swap,
    write,
)
from wrong_values.cases import Case, run, with_params

RAW = "data/01_raw"
IMAGES, DIGIT_LABELS, TEST_LABELS = (
    f"{RAW}/mnist/{name}-ubyte.gz"
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-labels-idx1")
)
POSTS = f"{RAW}/stackexchange/Posts.xml.gz"
ORIGINALS, ANSWERS = f"{RAW}/faq/orig-q.tsv.gz", f"{RAW}/faq/ans.tsv.gz"
QUESTIONS = f"{RAW}/faq/new-questions.csv"
CAPTURES = f"{RAW}/sensors/captures"
LABELS, TABLE = f"{CAPTURES}/labels.csv", f"{RAW}/sensors/table.csv"
VIDEO, PICTURE = f"{RAW}/style/mine.mp4", f"{RAW}/style/mine.png"
PAINTING, WEIGHTS = f"{RAW}/style/painting.jpg", "data/06_models/style/starry_night.safetensors"
A_PICTURE = "data/08_reporting/style_transfer/contact_sheet.png"

DIGITS, INGEST, TUNE, MATCH = (
    run(name) for name in ("mnist_training", "faq_ingestion", "faq_tuning", "faq_matching")
)
READ, SCORE = run("sensor_ingestion"), run("anomaly_scoring")
TRANSFER, TRAIN = run("style_transfer"), run("style_training")
READ_TABLE = with_params("sensor_ingestion", f"sensor_table={TABLE}")
TRANSFER_VIDEO = with_params("style_transfer", f"video={VIDEO}")

_DIGITS = [
    Case("images_missing", DIGITS, ("mnist_train_images", IMAGES, "no such file"), remove(IMAGES)),
    Case(
        "images_truncated",
        DIGITS,
        ("mnist_train_images", IMAGES, "is damaged", "download it again"),
        shorten(IMAGES, 9000),
    ),
    Case(
        "images_too_few_bytes",
        DIGITS,
        ("mnist_train_images", "truncated", "download it again"),
        damage_all(IMAGES, lambda old: gzip.compress(gzip.decompress(old)[:-1000])),
    ),
    Case(
        "images_and_labels_swapped",
        DIGITS,
        ("mnist_train_images", "expected an array of n x 28 x 28", "swapped"),
        swap(IMAGES, DIGIT_LABELS),
    ),
    Case(
        "digits_label_out_of_range",
        DIGITS,
        ("mnist_train_labels", "training set: label in row 17 is 12, expected 0 to 9"),
        change_arrays(
            lambda old: np.where(np.arange(len(old)) == 17, 12, old).astype(old.dtype), DIGIT_LABELS
        ),
    ),
    Case(
        "digits_labels_too_few",
        DIGITS,
        ("mnist_test_labels", "images but", "labels; take both files from the same source"),
        change_arrays(lambda old: old[:-1], TEST_LABELS),
    ),
    Case(
        "reports_not_a_folder",
        DIGITS,
        ("'class_counts'", "data/08_reporting/mnist_training", "cannot be created"),
        both(remove("data/08_reporting"), write("data/08_reporting", "a file in the way")),
    ),
]
_FAQ = [
    Case("dump_missing", INGEST, ("faq_posts", "--params faq_dump=FOLDER"), remove(POSTS)),
    Case("dump_empty", INGEST, (POSTS, "no <row>", "expected Posts.xml"), write(POSTS, "")),
    Case("dump_a_folder", INGEST, (POSTS, "expected a file"), make_folder(POSTS)),
    Case("dump_truncated", INGEST, (POSTS, "download"), shorten(POSTS, 3000)),
    Case(
        "dump_mixed_up",
        INGEST,
        (POSTS, "use Posts.xml and PostLinks.xml of the same dump"),
        copy_over(f"{RAW}/stackexchange/PostLinks.xml.gz", POSTS),
    ),
    Case(
        "dump_without_the_tag",
        with_params("faq_ingestion", "faq_tag=cobol"),
        ("nothing to keep", "'cobol'", "faq_tag=TAG"),
    ),
    Case(
        "table_empty",
        TUNE,
        ("faq_answers: is empty", "set faq_cleaning.require_answer=false"),
        write(ANSWERS, ""),
    ),
    Case("table_truncated", TUNE, (ORIGINALS, "gzip file is damaged"), shorten(ORIGINALS, 1000)),
    Case(
        "table_mixed_up",
        TUNE,
        (ORIGINALS, "expected 4 tab-separated columns", "found 2"),
        copy_over(ANSWERS, ORIGINALS),
    ),
    Case("table_in_utf16", TUNE, (ORIGINALS, "save it as UTF-8"), recode(ORIGINALS, "utf-16")),
    Case("questions_missing", MATCH, (QUESTIONS, "faq_questions=FILE"), remove(QUESTIONS)),
    Case("questions_empty", MATCH, (QUESTIONS, "is empty", "Text0"), write(QUESTIONS, "")),
    Case("questions_none", MATCH, ("0 questions", "check the"), write(QUESTIONS, "Id,Text0\n")),
    Case(
        "questions_columns",
        MATCH,
        ("column question is missing; found a, b",),
        write(QUESTIONS, "a,b\n1,2"),
    ),
    Case("questions_in_latin1", MATCH, (QUESTIONS, "as UTF-8"), recode(QUESTIONS, "latin-1")),
    Case("questions_a_folder", MATCH, (QUESTIONS, "expected a file"), make_folder(QUESTIONS)),
    Case("questions_a_circle", MATCH, (QUESTIONS, "form a cycle"), link_to_itself(QUESTIONS)),
    Case(
        "questions_in_excel",
        with_params("faq_matching", "faq_questions=q.xlsx"),
        ("is .xlsx, expected .csv",),
        write("q.xlsx", b"PK\3\4"),
    ),
]
_SENSORS = [
    Case("captures_missing", READ, ("sensor_captures=FOLDER", CAPTURES), remove(CAPTURES)),
    Case("readings_empty", READ_TABLE, (TABLE, "cannot be read as a table"), write(TABLE, "")),
    Case(
        "readings_columns",
        READ_TABLE,
        (
            TABLE,
            "Device, Sensor, Value are missing; found time, of, what",
            "sensor_columns.time=time",
        ),
        write(TABLE, "time,of,what\n1,2,3\n"),
    ),
    Case(
        "labels_columns",
        SCORE,
        ("sensor_labels", "device, sensor, start, end, kind are missing; found a, b"),
        write(LABELS, "a,b\n"),
    ),
    Case("labels_empty", SCORE, ("sensor_labels", LABELS, "not a CSV file"), write(LABELS, "")),
    Case(
        "labels_without_zone",
        SCORE,
        (LABELS, "row 2: start is '2026-01-01', expected a time with a zone, such as"),
        write(LABELS, "device,sensor,start,end,kind\na,b,2026-01-01,2026-01-02,x\n"),
    ),
]
_STYLE = [
    Case("video_missing", TRANSFER_VIDEO, ("style_source", VIDEO, "--params video=FILE")),
    Case(
        "video_of_text",
        TRANSFER_VIDEO,
        ("mine.mp4", "cannot be read as a video"),
        write(VIDEO, "hello"),
    ),
    Case(
        "video_of_sound",
        TRANSFER_VIDEO,
        ("only audio; use another file",),
        make_video(VIDEO, 0, sound=True),
    ),
    Case(
        "video_of_other_kind",
        with_params("style_transfer", "video=pyproject.toml"),
        ("pyproject.toml: its format is not a video in one file",),
    ),
    Case(
        "video_truncated",
        TRANSFER_VIDEO,
        ("mine.mp4", "copy or export it again"),
        both(copy_over(f"{RAW}/style/sample.mp4", VIDEO), shorten(VIDEO, 20_000)),
    ),
    Case(
        "video_an_empty_folder", TRANSFER_VIDEO, (VIDEO, "contains no pictures"), make_folder(VIDEO)
    ),
    Case(
        "video_nowhere",
        with_params("style_transfer", "video=http://127.0.0.1:9/a.mp4"),
        ("style_source", "http://127.0.0.1:9/a.mp4", "video=FILE"),
    ),
    Case(
        "picture_of_text",
        with_params("style_transfer", f"video={PICTURE}"),
        (PICTURE, "not a complete picture", "export it again"),
        write(PICTURE, "hello"),
    ),
    Case(
        "style_unknown",
        with_params("style_transfer", "style=munch"),
        ("unknown style 'munch'; known: starry_night, wave",),
    ),
    Case("weights_truncated", TRANSFER, (WEIGHTS, "complete", "again"), shorten(WEIGHTS, 2000)),
    Case("weights_a_folder", TRANSFER, (WEIGHTS, "expected a file"), make_folder(WEIGHTS)),
    Case("painting_missing", TRAIN, (PAINTING, "--params painting=FILE")),
    Case(
        "painting_of_text",
        TRAIN,
        (PAINTING, "not a complete picture"),
        both(write(PAINTING, "hello"), write(f"{RAW}/style/vgg19.pth", "hello")),
    ),
    Case("vgg_missing", TRAIN, ("vgg19.pth", "`kedro fetch vgg`"), copy_over(A_PICTURE, PAINTING)),
    Case(
        "photographs_missing",
        with_params("style_training", "photographs=album"),
        ("album: no such folder; name a folder of photographs",),
        copy_over(A_PICTURE, PAINTING),
    ),
]
_SAMPLES = [
    Case(
        "sample_questions",
        run("sample_data"),
        ("faq_sample",),
        write(f"{RAW}/faq_sample/values.yml", "a: ["),
    ),
]

FILES = [*_DIGITS, *_FAQ, *_SENSORS, *_STYLE, *_SAMPLES]
