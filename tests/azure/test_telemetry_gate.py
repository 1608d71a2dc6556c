"""Whatever a run works on, and whatever the exporter adds, must not leave the machine."""

import json
import logging
import string

import pytest
from azure.core.pipeline import PipelineContext, PipelineRequest
from azure.core.rest import HttpRequest
from hypothesis import assume, given
from hypothesis import strategies as st

from quartet.azure.monitoring import source_texts
from quartet.azure.monitoring.gate import FIELDS, PROPERTIES, Gate, passed, passed_item, redacted

logger = logging.getLogger("quartet.tests.gate")
WORDS = st.text(string.ascii_lowercase, min_size=4, max_size=12)
HOSTS = st.builds("{}.{}.net".format, WORDS, WORDS)
SECRETS = st.one_of(
    st.builds("{}@{}".format, WORDS, HOSTS),
    st.builds("https://{}/{}?sig={}".format, HOSTS, WORDS, WORDS),
    st.builds("abfs://{}/{}.mp4".format, WORDS, WORDS),
    st.builds("/home/{}/{}.csv".format, WORDS, WORDS),
    st.builds("C:\\Users\\{}\\{}.csv".format, WORDS, WORDS),
    st.builds("AccountKey={}==;EndpointSuffix={}".format, WORDS, WORDS),
    st.builds("password: {}".format, WORDS),
    st.builds("SELECT {} FROM {}".format, WORDS, WORDS),
    st.builds("{}.{}.{}.{}".format, *[st.integers(10, 255)] * 4),
    st.uuids().map(str),
    st.binary(min_size=16, max_size=32).map(bytes.hex),
)


class Kept(logging.Handler):
    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        self.records.append(record)


def told(log):
    """What would be sent of the log lines that a function writes."""
    handler = Kept()
    logger.addHandler(handler)
    try:
        log()
    finally:
        logger.removeHandler(handler)
    return [source_texts.of_record(record) for record in handler.records]


@given(st.text())
def test_a_log_line_is_told_without_any_value_in_it(value):
    def log():
        logger.warning("dataset %s has no column", value)
        logger.warning(f"dataset {value} has no column")
        logger.warning("dataset {} has no column".format(value))  # noqa: UP032
        logger.warning("dataset " + value + " has no column")
        logger.warning(value)
        logger.log(logging.ERROR, "after %d rows of %s", 7, value)
        logger.warning(
            f"over several lines: dataset {value} has no column",
        )

    assert told(log) == [
        "dataset %s has no column",
        "dataset {} has no column",
        "dataset {} has no column",
        "dataset {} has no column",
        "",
        "after %d rows of %s",
        "over several lines: dataset {} has no column",
    ]


def test_of_a_warning_of_pythons_only_the_category_is_told():
    record = logging.makeLogRecord(
        {
            "name": "py.warnings",
            "msg": "%s",
            "args": ("/home/jane/a.py:7: UserWarning: jane's file\n",),
        }
    )
    assert source_texts.of_record(record) == "UserWarning"


def check(value):
    raise ValueError(f"parameter '{value}' is out of range")


def load(value):
    try:
        check(value)
    except ValueError as error:
        raise OSError(value) from error


@given(st.text())
def test_an_error_is_told_with_its_causes_and_without_any_value(value):
    with pytest.raises(OSError) as caught:
        load(value)
    assert source_texts.of_error(caught.value) == (
        f"OSError in {__name__}.load; "
        f"ValueError in {__name__}.check: parameter '{{}}' is out of range"
    )


def test_an_error_that_no_line_of_python_raised_is_told_by_type_and_place():
    with pytest.raises(ValueError, match="jane") as caught:
        int("jane")
    place = "test_an_error_that_no_line_of_python_raised_is_told_by_type_and_place"
    assert source_texts.of_error(caught.value) == f"ValueError in {__name__}.{place}"


@given(SECRETS, WORDS, WORDS)
def test_a_secret_that_stands_in_the_program_is_struck_out(secret, before, after):
    parts = [part for part in secret.replace("\\", "/").replace("=", "/").split("/") if part]
    text = redacted(f"{before} {secret} {after}")
    assert secret not in text
    for part in parts[1:]:
        hidden = part.strip(":;?").split(".")[0]
        assume(hidden not in (before, after))
        assert f" {hidden}" not in text


@pytest.mark.parametrize(
    "text",
    [
        "file %s has %d bad rows",
        "dataset 'sensors': row {} is no number (expected: 0 to 1); mend the file",
        "the pool is full: 16 connections, 4 waiting",
    ],
)
def test_ordinary_words_stay_as_they_are(text):
    assert redacted(text) == text


LEAVES = st.none() | st.booleans() | st.floats() | st.text(max_size=8) | SECRETS
JSON = LEAVES | st.lists(LEAVES, max_size=2) | st.dictionaries(WORDS, LEAVES, max_size=2)
NAMES = st.sampled_from([*PROPERTIES, "url", "stack", "user", "enduser.id", "ai.device.id"])
FIELD_NAMES = st.sampled_from([name for names in FIELDS.values() for name in names] + ["source"])
ITEMS = st.fixed_dictionaries(
    {
        "name": JSON,
        "time": JSON,
        "iKey": JSON,
        "tags": st.dictionaries(NAMES, JSON, max_size=3) | JSON,
        "data": st.fixed_dictionaries(
            {
                "baseType": st.sampled_from([*FIELDS, *FIELDS, "ExceptionData", "EventData"]),
                "baseData": st.dictionaries(FIELD_NAMES, JSON, max_size=4).flatmap(
                    lambda base: st.dictionaries(NAMES, JSON, max_size=3).map(
                        lambda properties: {**base, "properties": properties}
                    )
                ),
            }
        ),
    },
    optional={"further": JSON},
)


@given(ITEMS)
def test_only_known_fields_pass_and_values_that_are_names_or_numbers(item):
    out = passed_item(item)
    kind = item["data"]["baseType"]
    if kind not in FIELDS:
        assert out is None
        return
    assert out.keys() == {"name", "time", "iKey", "sampleRate", "tags", "data"}
    base = out["data"]["baseData"]
    assert base.keys() <= {*FIELDS[kind], "properties"}
    assert base["properties"].keys() <= set(PROPERTIES)
    assert not {"ai.device.id", "enduser.id"} & out["tags"].keys()
    text = json.dumps(out, allow_nan=False, ensure_ascii=False)
    assert "://" not in text
    assert "@" not in text
    assert "/home/" not in text
    assert "\\\\" not in text


@given(st.text() | JSON.map(lambda value: json.dumps(value, default=str)))
def test_a_body_that_is_not_understood_is_sent_as_nothing(body):
    assert json.loads(passed(body)) == []


def test_the_gate_stands_in_the_pipeline_and_the_request_stays_whole():
    item = {
        "name": "x",
        "time": "2026-01-01T00:00:00Z",
        "iKey": "k",
        "tags": {"ai.device.id": "jane-laptop", "ai.cloud.role": "quartet"},
        "data": {"baseType": "MessageData", "baseData": {"message": "over 7 rows", "ver": 2}},
    }
    sent = HttpRequest(
        "POST",
        "https://example.com/track",
        headers={"Content-Length": "9999", "Authorization": "Bearer x"},
        content=json.dumps([item]),
    )
    request = PipelineRequest(sent, PipelineContext(None))
    Gate().on_request(request)
    assert "jane" not in request.http_request.content
    assert (
        json.loads(request.http_request.content)[0]["data"]["baseData"]["message"] == "over 7 rows"
    )
    assert request.http_request.headers["Authorization"] == "Bearer x"
    assert request.http_request.headers["Content-Length"] == str(len(request.http_request.content))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, "many"])
def test_a_metric_is_a_finite_number(value):
    base = {"ver": 2, "metrics": [{"name": "study/accuracy", "value": value, "count": 1}]}
    out = passed_item({"data": {"baseType": "MetricData", "baseData": base}})
    assert out["data"]["baseData"]["metrics"][0]["value"] == 0
