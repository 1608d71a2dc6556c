"""Results, checkpoints and errors of the pipeline `style_training`."""

import io
import json
import shutil
from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
import torch
from kedro.io import DataCatalog, DatasetError
from PIL import Image

from quartet.datasets.checkpoint import CheckpointDataset
from quartet.datasets.live_picture import LivePictureDataset
from quartet.datasets.picture_folder import PictureFolderDataset
from quartet.datasets.pictures import PictureDataset
from quartet.datasets.torch_weights import Weights, WeightsDataset
from quartet.pipelines.style_training import create_pipeline, nodes
from quartet.style import training
from quartet.style.network import build_network
from quartet.style.settings import PaintingDescription
from style_inputs import photographs, random_vgg, small_training, stripes
from support import bootstrap, read_configuration, run_kedro

bootstrap()
DESCRIPTION = PaintingDescription(title="Stripes", licence="public domain")
QUICK = (
    "style_training.steps=2,style_training.width=4,style_training.crop=64,"
    "style_training.painting_side=64,style_training.preview_every=1,"
    "style_training.verify_vgg=false"
)


@pytest.fixture
def inputs(tmp_path):
    """Create a folder with a painting, photographs (one broken) and weights."""
    Image.fromarray(stripes()).save(tmp_path / "stripes.png")
    (tmp_path / "photos").mkdir()
    for name, picture in photographs().items():
        Image.fromarray(picture).save(tmp_path / "photos" / name)
    (tmp_path / "photos/broken.jpg").write_bytes(b"no picture")
    (tmp_path / "test").mkdir()
    Image.fromarray(stripes()[:, ::-1]).save(tmp_path / "test/other.png")
    weights = {name: torch.tensor(array) for name, array in random_vgg().items()}
    torch.save(weights, tmp_path / "vgg.pth")
    return tmp_path


def open_handles(folder):
    return (
        CheckpointDataset(filepath=str(folder / "checkpoint.safetensors")).load(),
        LivePictureDataset(filepath=str(folder / "progress.png")).load(),
    )


def train(folder, **changes):
    kept, live = open_handles(folder)
    return nodes.train_style(
        PictureDataset(filepath=str(folder / "stripes.png")).load(),
        PictureFolderDataset(folder=str(folder / "photos")).load(),
        PictureFolderDataset(folder=str(folder / "test")).load(),
        WeightsDataset(filepath=str(folder / "vgg.pth"), kind=None).load(),
        small_training(**changes),
        DESCRIPTION,
        kept,
        live,
    )


def test_training_returns_weights_history_and_previews(inputs):
    weights, history, previews = train(inputs)
    build_network({name: torch.tensor(array) for name, array in weights.arrays.items()})
    assert weights.metadata["painting"] == "stripes.png"
    assert weights.metadata["painting_licence"] == "public domain"
    assert weights.metadata["photographs"] == "3: 0.png, 1.png, 2.png"
    assert history["step"].tolist() == [2, 4]
    assert previews.keys() == {"painting", "photograph/0", "step/2/0", "step/4/0"}
    losses, grid = nodes.draw_training(history, previews)
    assert len(losses.axes) == 3
    assert len(grid.axes) == 1 + 3
    with Image.open(inputs / "progress.png") as picture:
        assert picture.format == "PNG"


class StoppedError(Exception):
    """Represents an interrupt, such as Ctrl-C or a lost machine."""


def test_stopped_training_resumes(inputs, tmp_path_factory, monkeypatch):
    other = tmp_path_factory.mktemp("complete")
    shutil.copytree(inputs, other, dirs_exist_ok=True)
    complete, complete_history, complete_previews = train(other)
    update = training.StyleTrainer._update
    steps = []

    def stop(trainer, *arguments):
        steps.append(trainer.step)
        if len(steps) == 4:
            raise StoppedError
        return update(trainer, *arguments)

    monkeypatch.setattr(training.StyleTrainer, "_update", stop)
    with pytest.raises(StoppedError):
        train(inputs)
    resumed, history, previews = train(inputs)
    assert steps == [0, 1, 2, 3, 2, 3]  # two steps are repeated
    for name, array in complete.arrays.items():
        np.testing.assert_array_equal(resumed.arrays[name], array)
    for name, array in complete_previews.items():
        np.testing.assert_array_equal(previews[name], array)
    pd.testing.assert_frame_equal(
        history.drop(columns="seconds"), complete_history.drop(columns="seconds")
    )
    assert resumed.metadata == complete.metadata


def test_changed_inputs_start_again(inputs, monkeypatch):
    train(inputs)
    update = training.StyleTrainer._update
    steps = []
    monkeypatch.setattr(
        training.StyleTrainer,
        "_update",
        lambda trainer, *rest: steps.append(1) or update(trainer, *rest),
    )
    train(inputs)
    assert not steps  # training is complete; its checkpoint stays until the report
    train(inputs, style_weight=7, steps=1)
    assert len(steps) == 1
    (inputs / "photos/2.png").unlink()
    train(inputs, style_weight=7, steps=1)
    assert len(steps) == 2
    Image.fromarray(stripes()[::-1]).save(inputs / "stripes.png")
    train(inputs, style_weight=7, steps=1)
    assert len(steps) == 3


def test_checkpoint_is_cleared_after_the_reports(inputs):
    checkpoint, _ = open_handles(inputs)
    train(inputs)
    assert (inputs / "checkpoint.safetensors").exists()
    pipeline = create_pipeline()
    before = {node.name for node in pipeline.to_nodes("clear_style_checkpoint").nodes}
    assert {"train_style", "report_training"} < before
    nodes.clear_style_checkpoint({"steps": 4}, checkpoint)
    assert not (inputs / "checkpoint.safetensors").exists()


def test_report_describes_the_training(inputs):
    weights, history, _ = train(inputs)
    saved = Weights("stripes", weights.arrays, weights.metadata)
    metrics, card = nodes.report_training(saved, history)
    assert metrics.keys() == {
        *("steps", "content_loss", "style_loss", "roughness_loss"),
        *("seconds_per_step", "width", "parameters"),
    }
    assert metrics["steps"] == 4
    assert metrics["width"] == 4
    assert metrics["parameters"] == sum(array.size for array in weights.arrays.values())
    assert metrics["style_loss"] == history["style"].iloc[-1]
    assert metrics["seconds_per_step"] > 0
    assert card.startswith("# The style `stripes`\n")
    assert "| title | Stripes |" in card


@pytest.mark.integration
def test_complete_run_creates_a_style(workspace, inputs):
    pictures = workspace / "Bilder, 日本"
    shutil.copytree(inputs / "photos", pictures)
    painting = workspace / "it's; a painting.png"
    shutil.copy(inputs / "stripes.png", painting)
    (workspace / "conf/local/catalog.yml").write_text(
        f"photographs:\n  type: quartet.datasets.picture_folder.PictureFolderDataset\n"
        f'  folder: "{pictures}"\n'
    )
    made = workspace / "data/06_models/style"
    before = {path: path.read_bytes() for path in made.glob("*.*")}
    result = run_kedro(
        workspace,
        *("run", "--pipelines", "style_training", "--params"),
        f"painting={painting},vgg_weights={inputs / 'vgg.pth'},style=mine,"
        f"painting_licence=my own,{QUICK}",
    )
    assert result.returncode == 0, result.stderr
    assert "broken.jpg cannot be read and is skipped" in result.stderr
    after = {path: path.read_bytes() for path in made.glob("*.*")}
    assert {path.name for path in after.keys() - before.keys()} == {"mine.safetensors", "mine.md"}
    assert before.items() <= after.items()  # bundled styles are unchanged
    assert not list((made / "checkpoints").iterdir())
    card = (made / "mine.md").read_text(encoding="utf-8")
    assert "| licence | my own |" in card
    assert "| file | `it's; a painting.png` |" in card
    reports = workspace / "data/08_reporting/style_training"
    assert json.loads((reports / "metrics.json").read_text())["steps"] == 2
    for name in ("losses.png", "previews.png", "progress.png"):
        with Image.open(io.BytesIO((reports / name).read_bytes())) as picture:
            assert picture.width > 400
    assert pd.read_csv(reports / "history.csv")["step"].tolist() == [1, 2]


def create_catalog(**given):
    """Return the catalog for some `--params`."""
    entries = read_configuration("catalog", **given)
    names = ("painting", "photographs", "test_photographs", "vgg_weights")
    return DataCatalog.from_config({name: deepcopy(entries[name]) for name in names})


@pytest.fixture(scope="module")
def plain_catalog():
    return create_catalog()


def test_missing_inputs_raise_with_a_remedy(plain_catalog):
    for dataset, message in {
        "painting": r"painting\.jpg: no such file; name the painting .*--params painting=FILE",
        "vgg_weights": r"vgg19\.pth: no such file; run `kedro fetch vgg`, or .*vgg_weights=FILE",
    }.items():
        with pytest.raises(DatasetError, match=message):
            plain_catalog.load(dataset)


def test_invalid_inputs_raise_with_a_remedy(inputs):
    (inputs / "empty").mkdir()
    wrong = {
        "painting": ("vgg.pth", r"vgg\.pth: not a complete picture"),
        "vgg_weights": ("stripes.png", r"stripes\.png: not a complete safetensors or PyTorch file"),
        "photographs": ("nowhere", r"nowhere: no such folder; .*photographs=FOLDER"),
        "test_photographs": ("empty", r"empty: contains no pictures .*test_photographs=FOLDER"),
    }
    catalog = create_catalog(**{name: str(inputs / path) for name, (path, _) in wrong.items()})
    for dataset, (_, message) in wrong.items():
        with pytest.raises(DatasetError, match=message):
            catalog.load(dataset)


def test_bundled_photographs_are_the_default(inputs, plain_catalog):
    catalog = plain_catalog
    assert not catalog.load("photographs")
    assert not catalog.load("test_photographs")
    seen = {}

    def trainer(painting, photographs, *rest):
        seen.update(photographs)
        raise StoppedError

    kept, live = open_handles(inputs)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(StoppedError):
        patch.setattr(training, "StyleTrainer", trainer)
        nodes.train_style(
            PictureDataset(filepath=str(inputs / "stripes.png")).load(),
            catalog.load("photographs"),
            catalog.load("test_photographs"),
            WeightsDataset(filepath=str(inputs / "vgg.pth"), kind=None).load(),
            small_training(),
            DESCRIPTION,
            kept,
            live,
        )
    assert {"china.jpg", "astronaut.png"} <= seen.keys()
