"""`kedro try` answers a question, a drawing, a picture or video, and a table of readings."""

import io
import re
import shutil
import time
from fractions import Fraction
from pathlib import Path
from urllib.parse import urlsplit

import av
import numpy as np
import pandas as pd
import psutil
import pyarrow.parquet as pq
import pytest
from PIL import Image
from playwright.sync_api import expect
from skimage.data import chelsea

from quartet.faq.cleaning import clean_text
from quartet.faq.matcher import Matcher
from quartet.sensors import readings, scoring, windows
from quartet.sensors.model_set import SensorModels
from support import GUARD_S, make_workspace, run_kedro, running_server

CLIP_SIZE = (96, 64)
"""Width and height of the clip."""


def serve(folder, log_file=None):
    """Return a context manager with the URL of the page on a project."""
    pytest.importorskip("streamlit")
    return running_server(folder, ["kedro", "try"], "/", log_file, options=())


@pytest.fixture(scope="module")
def project(trained_workspace, tmp_path_factory):
    folder = tmp_path_factory.mktemp("try_page") / "project"
    shutil.copytree(trained_workspace, folder)
    return folder


@pytest.fixture(scope="module")
def temporary(tmp_path_factory):
    """The folder in which the page stores temporary files."""
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def url(project, temporary):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(temporary))
        with serve(project) as url:
            yield url


@pytest.fixture
def visit(browser, url, temporary):
    """Open the page of a scenario; at its end check what was requested, and what is left."""
    contexts, requested = [], set()

    def open_page(name, width=1200, height=1000):
        context = browser.new_context(viewport={"width": width, "height": height})
        contexts.append(context)
        context.set_default_timeout(1000 * GUARD_S)
        context.on("request", lambda request: requested.add(request.url))
        page = context.new_page()
        page.goto(url)
        page.get_by_role("link", name=name).click()
        return page

    yield open_page
    for context in contexts:
        context.close()
    hosts = {urlsplit(each).netloc for each in requested if each.startswith(("http", "ws"))}
    assert hosts == {urlsplit(url).netloc}
    wait_for_removal(temporary)


def wait_for_removal(temporary):
    """Wait for the page, which may still run for a closed tab, to remove its temporary folders."""
    deadline = time.monotonic() + GUARD_S
    while left := list(temporary.glob("quartet_try*")):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def upload(page, name, content):
    page.locator("input[type=file]").set_input_files(
        {"name": name, "mimeType": "application/octet-stream", "buffer": content}
    )


def metric(page, label):
    return page.get_by_test_id("stMetric").filter(has_text=label).get_by_test_id("stMetricValue")


def keep(page, keep_screenshot, name):
    """Save a screenshot once the charts are drawn."""
    for busy in ("[data-testid=stSkeleton]", "[data-testid=stStatusWidget]", "[data-stale=true]"):
        expect(page.locator(busy)).to_have_count(0)
    page.get_by_test_id("stMain").evaluate("area => area.scrollTo(0, 0)")  # a click scrolls
    keep_screenshot(page, f"try_{name}")


def test_a_question_gets_ranked_answers_with_probabilities_and_reasons(project, visit):
    matcher = Matcher.from_bytes((project / "data/06_models/faq/ranker.safetensors").read_bytes())
    duplicates = pd.read_parquet(project / "data/03_primary/faq/divided_duplicates.parquet")
    question = duplicates.loc[duplicates["part"] == "train", "text"].iloc[0]
    best = matcher.match([question], 1).iloc[0]
    page = visit("Questions")
    page.get_by_label("Your question").fill(question)
    page.keyboard.press("Control+Enter")
    expect(metric(page, "Probability")).to_have_count(5)
    expect(metric(page, "Probability").first).to_have_text(f"{best['probability']:.1%}")
    first = page.get_by_test_id("stVerticalBlock").filter(has_text="similarity 1.00").last
    expect(first).to_contain_text("Nearest duplicate")
    expect(first).to_contain_text(re.compile("shared words", re.I))
    expect(page.get_by_text(re.compile("^Shared words, by their share")).first).to_be_visible()
    page.get_by_text("Answer", exact=True).first.click()
    start = clean_text(best["answer"])[:20]
    expect(page.get_by_test_id("stText").first).to_have_text(re.compile(re.escape(start), re.I))


def test_an_example_is_answered_after_a_click(visit, keep_screenshot):
    page = visit("Questions")
    page.get_by_role("radiogroup").get_by_role("radio").first.click()
    expect(metric(page, "Probability")).to_have_count(5)
    assert page.get_by_label("Your question").input_value()
    keep(page, keep_screenshot, "questions")


def test_a_drawn_digit_is_classified(visit, keep_screenshot):
    page = visit("Digits", height=640)
    box = page.locator("canvas").first.bounding_box()
    corners = [
        (box["x"] + right * box["width"], box["y"] + down * box["height"])
        for right, down in ((0.25, 0.15), (0.75, 0.15), (0.45, 0.85))
    ]
    page.mouse.move(*corners[0])
    page.mouse.down()
    for corner in corners[1:]:
        page.mouse.move(*corner, steps=8)
    page.mouse.up()
    expect(metric(page, "Class")).to_have_text("7")
    expect(page.get_by_text("What the classifier sees")).to_be_visible()
    expect(page.get_by_test_id("stVegaLiteChart")).to_be_visible()
    keep(page, keep_screenshot, "digits")
    page.get_by_role("button", name="Clear").click()
    expect(metric(page, "Class")).to_have_count(0)


def test_a_finger_draws_too(browser, url):
    context = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True)
    context.set_default_timeout(1000 * GUARD_S)
    page = context.new_page()
    page.goto(f"{url}/digits")
    box = page.locator("canvas").first.bounding_box()
    touch = context.new_cdp_session(page)
    for kind, down in (("touchStart", 0.2), ("touchMove", 0.5), ("touchMove", 0.8)):
        point = {"x": box["x"] + box["width"] / 2, "y": box["y"] + down * box["height"]}
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect(metric(page, "Class")).to_have_text("1")
    context.close()


def test_a_picture_is_shown_in_both_styles(visit, keep_screenshot):
    content = io.BytesIO()
    Image.fromarray(chelsea()).save(content, "PNG")
    page = visit("Styles", height=760)
    upload(page, "cat.png", content.getvalue())
    stylized = download_all(page)
    assert sorted(stylized) == ["cat_starry_night.png", "cat_wave.png"]
    pictures = [np.asarray(Image.open(io.BytesIO(each))) for each in stylized.values()]
    assert [picture.shape for picture in pictures] == [chelsea().shape] * 2
    assert (pictures[0] != pictures[1]).mean() > 0.5
    expect(page.get_by_test_id("stImage").locator("img")).to_have_count(3)
    keep(page, keep_screenshot, "styles")


def test_a_video_is_shown_in_both_styles(visit):
    page = visit("Styles")
    upload(page, "clip.mp4", make_clip(frames=6))
    stylized = download_all(page)
    assert sorted(stylized) == ["clip_starry_night.mp4", "clip_wave.mp4"]
    for content in stylized.values():
        with av.open(io.BytesIO(content)) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert len(frames) == 6
        assert frames[0].shape == (*CLIP_SIZE[::-1], 3)
    expect(page.locator("video")).to_have_count(3)


def make_clip(frames):
    """Return a video of a moving bar."""
    content = io.BytesIO()
    width, height = CLIP_SIZE
    with av.open(content, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(12), width=width, height=height)
        stream.pix_fmt = "yuv420p"
        for index in range(frames):
            picture = np.zeros((height, width, 3), np.uint8)
            picture[:, 10 * index : 10 * index + 20] = (200, 120, 40)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return content.getvalue()


def download_all(page):
    """Return the content of both results, by name."""
    buttons = page.get_by_role("button", name="Download")
    expect(buttons).to_have_count(2)
    found = {}
    for button in buttons.all():
        with page.expect_download() as started:
            button.click()
        found[started.value.suggested_filename] = Path(started.value.path()).read_bytes()
    return found


@pytest.fixture(scope="module")
def recorded(project):
    """The readings of the sample's last day, as an Arrow table."""
    files = sorted((project / "data/02_intermediate/sensors/readings").glob("*.parquet"))
    table = readings.concatenate([pq.read_table(file, schema=readings.SCHEMA) for file in files])
    latest = table.column("timestamp").to_numpy()
    return table.filter(latest > latest.max() - 86_400 * windows.SECOND)


def to_csv(table, **names):
    frame = table.to_pandas()
    frame["TS"] = pd.to_datetime(frame["timestamp"], unit="us", utc=True)
    frame = frame.rename(columns={"device": "Device", "sensor": "Sensor", "value": "Value"})
    chosen = frame[["TS", "Device", "Sensor", "Value"]].rename(columns=names)
    return chosen.to_csv(index=False, sep=";").encode()


def test_readings_are_scored_as_the_pipeline_scores_them(project, recorded, visit, keep_screenshot):
    models = SensorModels.from_bytes(
        (project / "data/06_models/sensors/merged_models.safetensors").read_bytes()
    )
    found = models.context.apply(windows.aggregate(recorded, models.window_seconds))
    expected = scoring.predict(models, found)
    page = visit("Sensors", height=1200)
    upload(page, "day.csv", to_csv(recorded))
    expect(metric(page, "Readings")).to_have_text(f"{recorded.num_rows:,}")
    expect(metric(page, "Windows")).to_have_text(f"{len(expected):,}")
    expect(metric(page, "Alarms")).to_have_text(f"{expected['anomaly'].sum():,}")
    with page.expect_download() as started:
        page.get_by_role("button", name="Download all windows").click()
    shown = pd.read_csv(started.value.path())
    np.testing.assert_allclose(shown["score"], expected["score"], atol=1e-9)
    expect(page.get_by_test_id("stVegaLiteChart")).to_have_count(2)
    keep(page, keep_screenshot, "sensors")


def test_columns_of_other_names_can_be_named(recorded, visit):
    page = visit("Sensors")
    upload(page, "own.csv", to_csv(recorded.slice(0, 2000), TS="when", Value="reading"))
    expect(page.get_by_test_id("stAlert")).to_contain_text("own.csv")
    page.get_by_text("Columns have other names").click()
    for label, name in (("Time", "when"), ("Value", "reading")):
        page.get_by_label(label, exact=True).fill(name)
        page.keyboard.press("Enter")
    expect(metric(page, "Readings")).to_have_text("2,000")


def test_readings_of_unknown_sensors_are_reported_in_one_line(recorded, visit):
    content = to_csv(recorded.slice(0, 500)).replace(b"device-", b"pump-")
    page = visit("Sensors")
    upload(page, "own.csv", content)
    message = page.get_by_test_id("stAlert")
    expect(message).to_contain_text("no sensor has a model, such as pump-")
    expect(message).to_contain_text("kedro try --params dataset_name=NAME")


def test_a_file_that_is_neither_picture_nor_video_is_reported(visit):
    page = visit("Styles")
    upload(page, "notes.jpg", b"no picture")
    expect(page.get_by_test_id("stAlert")).to_contain_text("notes.jpg: not a complete picture")


def test_nothing_listens_beyond_this_machine(url):
    port = urlsplit(url).port
    owners = [
        process
        for process in psutil.process_iter()
        if port in {each.laddr.port for each in list_listening(process)}
    ]
    assert owners
    family = {child for owner in owners for child in (owner, *owner.children(recursive=True))}
    found = {each.laddr.ip for process in family for each in list_listening(process)}
    assert found == {"127.0.0.1"}


def list_listening(process):
    try:
        return [each for each in process.net_connections("inet") if each.status == "LISTEN"]
    except psutil.Error:
        return []


def test_a_missing_model_is_reported_with_the_command_that_trains_it(browser, tmp_path):
    with serve(make_workspace(tmp_path / "untrained")) as url:
        page = browser.new_page()
        page.set_default_timeout(1000 * GUARD_S)
        for path, pipeline in (
            ("", "faq_tuning"),
            ("questions", "faq_tuning"),
            ("digits", "mnist_training"),
            ("sensors", "anomaly_training"),
        ):
            page.goto(f"{url}/{path}")
            expect(page.get_by_test_id("stAlert")).to_contain_text(
                f"no version is registered; run kedro run --pipelines {pipeline} first"
            )
            expect(page.get_by_role("dialog")).to_have_count(0)  # "Page not found"
        page.close()


def test_a_port_in_use_is_reported_with_another(url, project):
    result = run_kedro(project, "try", "--port", str(urlsplit(url).port))
    assert result.returncode == 1
    assert "is not available" in result.stderr
    assert "Traceback" not in result.stderr
