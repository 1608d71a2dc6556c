"""Outputs, segments, metrics and errors of the pipeline `style_transfer`."""

import json
import os
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from kedro.io import DataCatalog, DatasetError
from kedro.runner import SequentialRunner
from PIL import Image
from safetensors.numpy import save_file

from quartet.datasets.segments import SegmentStore
from quartet.pipelines.style_transfer import create_pipeline, nodes
from quartet.style.check import check_video
from quartet.style.encoding_settings import Encoding
from quartet.style.network import StyleNetwork
from quartet.style.probe import plan_video
from quartet.style.transfer_settings import StyleTransfer, Stylizing
from style.videos import KEYS, write_video
from support import bootstrap, read_configuration

bootstrap()
PARAMETERS = {"style_transfer": StyleTransfer, "stylizing": Stylizing, "video_encoding": Encoding}
QUICK = {
    "style_transfer": {"segment_frames": 8, "comparison_pairs": 2},
    "video_encoding": {"preset": "ultrafast", "threads": 1},
    "stylizing": {"workers": 1},
}


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """Create a project folder with a tiny style `plain`."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    weights = {name: value.numpy() for name, value in StyleNetwork(4).state_dict().items()}
    (tmp_path / "data/06_models/style").mkdir(parents=True)
    save_file(weights, tmp_path / "data/06_models/style/plain.safetensors")
    return tmp_path


def create_catalog(source, style="plain", **changes):
    given = {"video": os.path.relpath(source), "style": style}
    parameters = dict(read_configuration("parameters", **given))
    for group, values in {**QUICK, **changes}.items():
        parameters[group] = {**parameters[group], **QUICK.get(group, {}), **values}
    names = create_pipeline().datasets()
    configured = deepcopy(read_configuration("catalog", **given))
    entries = {name: entry for name, entry in configured.items() if name in names}
    catalog = DataCatalog.from_config(entries)
    for name in names:
        if name.startswith("params:"):
            group = name.removeprefix("params:")
            catalog[name] = PARAMETERS[group](**parameters[group])
    return catalog


def run(source, style="plain", only=None, **changes):
    """Run the pipeline and return its metrics."""
    pipeline = create_pipeline()
    catalog = create_catalog(source, style, **changes)
    SequentialRunner().run(pipeline.only_nodes(*only) if only else pipeline, catalog)
    return json.loads(Path("data/08_reporting/style_transfer/metrics.json").read_text())


def plan_only(source, style="plain", **changes):
    catalog = create_catalog(source, style, **changes)
    SequentialRunner().run(create_pipeline().only_nodes("plan_transfer"), catalog)
    return catalog.load("transfer_plan")


def published_names(project):
    folder = project / "data/07_model_output/style/stylized"
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(str(path) for path in found) if folder.exists() else []


def stored_segments(project):
    return list((project / "data/07_model_output/style/segments").rglob("*.mp4"))


def test_video_keeps_frames_timestamps_and_audio(project):
    source = write_video(project / "a film.mp4", 20, options=KEYS, sounds=["aac"])
    found = run(source)
    assert published_names(project) == ["a film_plain.mp4"]
    target = project / "data/07_model_output/style/stylized/a film_plain.mp4"
    check_video(target, plan_video(source, 8))
    assert found["frames_in"] == found["frames_out"] == 20
    assert found["duration_difference_s"] == 0
    assert found["tracks_copied"] == 1
    assert found["frames_per_s"] > 0
    assert found["network_frames_per_s"] > 0
    assert found["flicker"] >= 0
    assert all(isinstance(value, int | float) for value in found.values())
    reports = project / "data/08_reporting/style_transfer"
    for name in ("contact_sheet.png", "consistency.png", "stages.png", "preview.webp"):
        with Image.open(reports / name) as picture:
            picture.load()
    assert not stored_segments(project)


def test_killed_run_loses_one_segment(project, monkeypatch):
    source = write_video(project / "a.mp4", 40, options=KEYS)
    written = []
    write = SegmentStore.write

    def kill_at_fourth(store, work, name, content):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(name)
        write(store, work, name, content)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(SegmentStore, "write", kill_at_fourth)
        run(source)
    assert published_names(project) == []
    assert len(stored_segments(project)) == 3
    found = run(source)
    assert found["segments_stylized"] == found["segments"] - 3
    assert found["frames_out"] == 40
    complete = (project / "data/07_model_output/style/stylized/a_plain.mp4").read_bytes()
    run(source)
    assert (project / "data/07_model_output/style/stylized/a_plain.mp4").read_bytes() == complete


def test_segments_are_kept_until_reports_are_saved(project, monkeypatch):
    source = write_video(project / "a.mp4", 16, options=KEYS)
    for unsaved in ("stylized_output", "style_transfer_metrics"):
        catalog = create_catalog(source)
        with monkeypatch.context() as patch, pytest.raises(DatasetError, match="No space left"):
            patch.setattr(catalog[unsaved], "save", raise_disk_full)
            SequentialRunner().run(create_pipeline(), catalog)
        assert stored_segments(project)
    found = run(source)
    assert (found["segments_stylized"], found["frames_out"]) == (0, 16)
    assert not stored_segments(project)


def raise_disk_full(data):
    raise DatasetError("No space left on device")


def test_segments_of_other_inputs_are_not_reused(project):
    source = write_video(project / "a.mp4", 16, options=KEYS)

    def work(**changes):
        return plan_only(source, **changes)["work"]

    first = work()
    assert work() == first
    assert work(video_encoding={"quality": 30}) != first
    assert work(style_transfer={"smoothing": 0.5}) != first
    write_video(source, 17, options=KEYS)
    assert work() != first


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ("check.check_video", ValueError("a_plain.mp4: has 15 frames, expected 16")),
        ("assemble.assemble", OSError(28, "No space left on device")),
    ],
)
def test_failed_output_is_not_published(project, monkeypatch, step, error):
    source = write_video(project / "a.mp4", 16, options=KEYS)

    def fail(*_):
        raise error

    monkeypatch.setattr(f"quartet.style.{step}", fail)
    with pytest.raises(type(error), match=r"expected 16|No space left"):
        run(source)
    assert published_names(project) == []
    assert stored_segments(project)


def test_any_file_name_of_the_longest_possible_size_works(project):
    """File systems count bytes."""
    stem = 'it\'s; $(rm) "x": Šumava – léto'
    stem += "b" * (255 - len(f"{stem}_plain.mp4".encode()))
    source = project / f"{stem}.mp4"
    source.write_bytes(write_video(project / "a.mp4", 9, options=KEYS).read_bytes())
    run(source)
    assert published_names(project) == [f"{stem}_plain.mp4"]


def test_a_video_of_one_frame(project):
    found = run(write_video(project / "one.mp4", 1))
    assert (found["frames_in"], found["frames_out"]) == (1, 1)
    assert "flicker" not in found


def test_pictures_of_a_folder_are_stylized_or_counted_with_a_reason(project):
    folder = project / "holiday"
    folder.mkdir()
    red, blue = (Image.new("RGB", (50, 40), colour) for colour in ("red", "blue"))
    red.save(folder / "a.jpg")
    Image.new("L", (31, 33), 90).save(folder / "a.png")
    Image.new("RGBA", (40, 40), (9, 9, 200, 90)).save(folder / "a.webp")
    red.save(folder / "b.jfif", "JPEG")
    red.save(folder / "c.avif")
    red.save(folder / "d.webp", save_all=True, append_images=[blue])
    (folder / "e.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99))
    (folder / "f.png").write_bytes(b"no picture")
    too_long = f"{'g' * 245}.png"
    red.save(folder / too_long)
    found = run(folder)
    assert published_names(project) == [
        "holiday_plain/a.webp_plain.png",
        "holiday_plain/a_plain.jpg",
        "holiday_plain/a_plain.png",
        "holiday_plain/b_plain.jfif",
        "holiday_plain/c_plain.png",
    ]
    assert (found["frames_in"], found["frames_out"], found["left_out"]) == (9, 5, 4)
    assert found["pictures_unreadable"] == 1
    output = json.loads((project / "data/07_model_output/style/output.json").read_text())
    assert output["left_out"].keys() == {"d.webp", "e.heic", "f.png", too_long}
    assert "HEIC cannot be read" in output["left_out"]["e.heic"]
    with Image.open(project / "data/07_model_output/style/stylized/holiday_plain/a_plain.png") as p:
        assert p.size == (31, 33)
    assert not list((project / "data/07_model_output/style/segments").rglob("*.png"))


def test_single_picture_and_broken_picture(project):
    """A picture that is named explicitly may be hidden."""
    Image.new("RGB", (50, 40), "red").save(project / ".a.png")
    assert run(project / ".a.png")["frames_out"] == 1
    assert published_names(project) == [".a_plain.png"]
    (project / "b.png").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"b\.png: not a complete picture"):
        run(project / "b.png")


def test_publishing_without_segments_raises_with_a_remedy(project):
    source = write_video(project / "a.mp4", 16, options=KEYS)
    run(source)
    with pytest.raises(ValueError, match="run again from the node stylize_segments"):
        run(source, only=["stylize.publish_output"])


def test_ranks_share_the_missing_segments(project, monkeypatch):
    source = write_video(project / "a.mp4", 40, options=KEYS)
    catalog = create_catalog(source)
    pipeline = create_pipeline()
    SequentialRunner().run(pipeline.only_nodes("plan_transfer"), catalog)
    done = []
    for rank in range(2):
        monkeypatch.setattr(nodes.ranks, "shard", lambda items, rank=rank: items[rank::2])
        monkeypatch.setattr(
            nodes.ranks, "broadcast", lambda value: value if isinstance(value, list) else set()
        )
        SequentialRunner().run(pipeline.only_nodes("stylize.stylize_segments"), catalog)
        done.append(catalog.load("stylizing_work")["ranks"][0])
    assert sum(work["frames"] for work in done) == 40
    assert sum(work["segments"] for work in done) == catalog.load("stylizing_work")["segments"] == 5
    SequentialRunner().run(pipeline.only_nodes("stylize.publish_output"), catalog)
    assert published_names(project) == ["a_plain.mp4"]


def test_animated_picture_becomes_a_video(project):
    frames = [Image.new("RGB", (50, 40), (10 * index, 0, 0)) for index in range(9)]
    source = project / "a.picture"
    frames[0].save(source, "WEBP", save_all=True, append_images=frames[1:], duration=100)
    found = run(source)
    assert published_names(project) == ["a_plain.mp4"]
    assert (found["frames_in"], found["frames_out"]) == (9, 9)


def test_style_outside_of_its_folder_is_refused(project):
    source = write_video(project / "a.mp4", 4)
    save_file({"a": np.ones(1, np.float32)}, project / "x.safetensors")
    with pytest.raises(DatasetError, match=r"style '\.\./\.\./\.\./x': a name contains no /"):
        run(source, "../../../x")


@pytest.mark.parametrize("name", [f"{'a' * 246}.mp4", f"{'क' * 82}.mp4", f"{'c' * 246}.png"])
def test_name_that_is_too_long_is_refused_when_planning(project, name):
    """Names of results are longer than those of sources."""
    if name.endswith(".mp4"):
        (project / name).write_bytes(write_video(project / "a.mp4", 4).read_bytes())
    else:
        Image.new("RGB", (50, 40), "red").save(project / name)
    with pytest.raises(ValueError, match=r"would have 256 bytes, 255 are possible; rename"):
        plan_only(project / name)


@pytest.mark.parametrize("name", ["a.mp4", "a.png"])
def test_folder_that_cannot_be_written_is_found_when_planning(project, name):
    if name == "a.mp4":
        write_video(project / name, 4)
    else:
        Image.new("RGB", (50, 40), "red").save(project / name)
    (project / "data/07_model_output/style").mkdir(parents=True)
    (project / "data/07_model_output/style/stylized").write_text("where a folder should be")
    with pytest.raises(OSError, match="stylized"):
        plan_only(project / name)


def test_losses_are_named_and_counted(project, caplog):
    source = write_video(
        project / "a.mkv", 9, options=KEYS, metadata={"CAMERA_SERIAL": "7", "title": "Holiday"}
    )
    found = run(source)
    assert found["metadata_lost"] == 1
    output = json.loads((project / "data/07_model_output/style/output.json").read_text())
    assert output["lost"] == ["metadata 'CAMERA_SERIAL'"]
    warnings = [record.getMessage() for record in caplog.records if "CAMERA" in record.getMessage()]
    assert warnings == ["a_plain.mp4: the result will not contain: metadata 'CAMERA_SERIAL'"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda values: values * 0, "stylize every picture to a single colour"),
        (lambda values: values * 1e30, "overflow: they give values that are NaN or infinite"),
        (lambda values: values.astype(np.int8), "has the type int8, expected floating-point"),
        (lambda values: values.ravel(), "the weights do not belong to TransformerNet"),
    ],
    ids=["zero", "huge", "integers", "another architecture"],
)
def test_weights_that_give_no_picture_are_refused_when_planning(project, change, complaint):
    weights = StyleNetwork(4).state_dict()
    broken = {name: change(value.numpy()) for name, value in weights.items()}
    save_file(broken, project / "data/06_models/style/broken.safetensors")
    source = write_video(project / "a.mp4", 4)
    with pytest.raises(ValueError, match=f"style 'broken': .*{complaint}"):
        plan_only(source, "broken")


def test_pages_that_are_not_stylized_are_named(project, caplog):
    page = Image.new("RGB", (40, 32))
    page.save(project / "scan.tif", save_all=True, append_images=[page, page])
    plan_only(project / "scan.tif")
    assert "scan.tif: only the first of its 3 pages is stylized" in caplog.text


@pytest.mark.parametrize(
    ("others", "expected"), [(["int8", "bfloat16"], "float32"), (["bfloat16"] * 2, "bfloat16")]
)
def test_ranks_on_different_machines_use_the_same_precision(project, monkeypatch, others, expected):
    """A video whose segments differ in precision flickers at their borders."""
    monkeypatch.setattr(
        nodes.ranks, "gather", lambda value: others if isinstance(value, str) else [value]
    )
    catalog = create_catalog(
        write_video(project / "clip.mp4", 8), stylizing={"precision": "bfloat16"}
    )
    pipeline = create_pipeline().only_nodes("plan_transfer", "stylize.stylize_segments")
    SequentialRunner().run(pipeline, catalog)
    (statistics,) = catalog.load("stylizing_work")["ranks"]
    assert statistics["precision"] == expected
