"""Transient storage faults must go unnoticed; permanent ones must be reported in one line.

All tests use datasets of the catalog, on Azurite behind a proxy that fails chosen requests.
"""

import os

import numpy as np
import pandas as pd
import pytest
from kedro.io import DatasetError

from kedro_cloud.blobs import file_system as module
from kedro_cloud.blobs import upload
from kedro_cloud.blobs.requests import RETRY_OPTIONS
from quartet.datasets.media import encode_picture
from stored import arrays, dataset, one_line

MIB = 1 << 20
CSV = pd.DataFrame({"a": np.arange(5)})
ROWS = pd.DataFrame(
    {
        "device": "d",
        "sensor": "s",
        "window_end": pd.to_datetime(["2026-03-02 08:30:00", "2026-03-02 09:30:00"]),
        "score": [1.0, 2.0],
    }
)


@pytest.mark.parametrize("status", [429, 503])
def test_throttled_requests_are_retried_with_exponential_backoff(status, proxy, waits):
    proxy.fail(".", "answer", status=status, times=4)
    history = dataset("faq_trials")
    history.save(CSV)
    pd.testing.assert_frame_equal(history.load(), CSV)
    assert len(waits) == 3  # the second try follows at once
    assert waits == sorted(waits)
    assert 6 < sum(waits) < 15


def test_permanent_throttling_is_reported_and_the_old_blob_stays(proxy, waits, blobs):
    history = dataset("faq_trials")
    history.save(CSV)
    fault = proxy.fail("PUT", "answer")
    with pytest.raises(DatasetError) as caught:
        history.save(CSV * 2)
    line = one_line(caught)
    assert "trials.csv: storage account azurite" in line
    assert "was too busy in 7 tries" in line
    assert "503 ServerBusy" in line
    assert fault.happened == 7
    assert 30 < sum(waits) < 64  # bounded: nobody waits for hours
    pd.testing.assert_frame_equal(history.load(), CSV)
    proxy.fail("GET|HEAD", "answer", status=429, code="TooManyRequests")
    with pytest.raises(DatasetError, match=r"was too busy in 7 tries.*429 TooManyRequests"):
        history.load()


def test_retry_after_sets_the_wait(proxy, waits):
    proxy.fail("PUT", "answer", times=2, headers={"Retry-After": "17"})
    proxy.fail("GET", "answer", times=1, headers={"Retry-After": "86400"})
    trials = dataset("faq_trials")
    trials.save(CSV)
    trials.load()
    assert waits == [17, 17, 60]


@pytest.mark.parametrize("way", ["cut request", "lose answer", "answer"])
@pytest.mark.parametrize("request_line", ["PUT .*comp=block&", "PUT .*comp=blocklist"])
def test_an_upload_resumes_after_lost_connections(way, request_line, proxy, waits):
    fault = proxy.fail(request_line, way, times=2)
    models = {"a": np.random.default_rng(0).random(3 * MIB)}
    arrays().save(models)
    assert fault.happened == 2
    assert (arrays().load()["a"] == models["a"]).all()


def test_a_failed_transfer_is_reported_and_the_old_blob_stays(proxy, waits):
    arrays().save({"a": np.zeros(3)})
    proxy.fail("PUT .*comp=block&", "cut request")
    with pytest.raises(DatasetError) as caught:
        arrays().save({"a": np.ones(3 * MIB)})
    assert "could not be reached in 7 tries" in one_line(caught)
    assert (arrays().load()["a"] == np.zeros(3)).all()
    proxy.fail("GET", "cut answer")
    with pytest.raises(DatasetError) as caught:
        arrays().load()
    assert "could not be reached in 7 tries" in one_line(caught)


def test_text_whose_last_lines_are_lost_is_not_committed(proxy, waits, blobs, monkeypatch):
    """Python's text files write their last lines when they are closed, even after an exception."""
    monkeypatch.setattr(upload, "BLOCK", 1000)
    monkeypatch.setattr(upload, "CONCURRENCY", 1)
    card = dataset("style_card")
    proxy.fail("PUT .*comp=block&", "answer")
    with pytest.raises(DatasetError, match="too busy"):
        card.save("x" * 5000)
    assert not [request for request in proxy.requests if "comp=blocklist" in request]
    assert blobs.find("models") == []


@pytest.mark.parametrize("way", ["cut answer", "lose answer"])
def test_a_download_resumes_after_lost_connections(way, proxy, waits):
    models = {"a": np.random.default_rng(0).random(4 * MIB)}
    arrays().save(models)
    table = pd.DataFrame({"a": np.random.default_rng(0).random(2 * MIB)})
    windows = dataset("new_windows", "base", filepath="abfs://work/windows.parquet")
    windows.save(table)
    folder = dataset("stylized_folder").load()
    with folder.create("a.mp4") as path:
        path.write_bytes(os.urandom(20 * MIB))
        written = path.read_bytes()
    faults = [proxy.fail("GET", way, times=2)]
    assert (arrays().load()["a"] == models["a"]).all()
    faults.append(proxy.fail("GET", way, times=2))
    pd.testing.assert_frame_equal(windows.load(), table)
    faults.append(proxy.fail("GET", way, times=2))
    with folder.fetch("a.mp4") as path:
        assert path.read_bytes() == written
    assert [fault.happened for fault in faults] == [2, 2, 2]


def test_storage_that_never_responds_is_reported(proxy, waits, monkeypatch):
    monkeypatch.setitem(module.CLIENT_OPTIONS, "read_timeout", 0.5)
    for name in ("retry_total", "retry_connect", "retry_read", "retry_status"):
        monkeypatch.setitem(RETRY_OPTIONS, name, 2)
    proxy.fail(".", "silence")
    with pytest.raises(DatasetError) as caught:
        dataset("faq_trials").load()
    assert "could not be reached in 3 tries" in one_line(caught)


def test_listings_and_deletions_are_retried_after_faults(proxy, waits, blobs):
    segments = dataset("style_segments").load()
    for name in "123":
        segments.write("w", name, b"x")
    proxy.fail("GET .*comp=list", "answer", times=2)
    assert segments.names("w") == {"1", "2", "3"}
    proxy.fail("DELETE", "lose answer", times=2)  # then asked again to delete what is gone
    segments.clear("w")
    assert blobs.find("work") == []
    segments.write("w", "1", b"x")
    proxy.fail("DELETE", "answer")
    with pytest.raises(DatasetError) as caught:
        segments.clear("w")
    assert "was too busy in 7 tries" in one_line(caught)


def test_a_blob_removed_between_listing_and_reading_is_reported(proxy, blobs):
    predictions = dataset("sensor_predictions")
    predictions.save(ROWS)
    (first, _) = blobs.find("work")
    proxy.fail(f"GET .*/{first}$", "meanwhile", meanwhile=lambda: blobs.rm(first))
    with pytest.raises(DatasetError) as caught:
        predictions.load().read()
    assert f"{first}: cannot be read" in one_line(caught)


def test_a_missing_picture_is_skipped_but_not_an_unreachable_one(proxy, waits, blobs):
    pixels = np.zeros((8, 8, 3), np.uint8)
    for name in "123":
        blobs.pipe_file(f"raw/photos/{name}.png", encode_picture(pixels, ".png"))
    photographs = dataset("photographs", folder="abfs://raw/photos").load()
    blobs.rm("raw/photos/1.png")
    with pytest.raises(ValueError, match="No such file"):
        photographs["1.png"]
    assert (photographs["2.png"] == pixels).all()
    proxy.fail("GET|HEAD", "answer")
    with pytest.raises(DatasetError, match="too busy"):
        photographs["3.png"]
    assert photographs.unreadable.keys() == {"1.png"}


def test_a_live_picture_that_cannot_be_updated_is_logged(proxy, waits, caplog):
    proxy.fail("PUT", "answer")
    dataset("style_progress").load().show(b"new")
    assert [text for text in caplog.messages if "could not be updated" in text]
