"""Datasets that are inputs only cannot be saved."""

import pytest
from kedro.io import DatasetError

from quartet.datasets.captures import SensorSourceDataset
from quartet.datasets.checkpoint import CheckpointDataset
from quartet.datasets.media import MediaDataset
from quartet.datasets.picture_folder import PictureFolderDataset
from quartet.datasets.pictures import PictureDataset
from quartet.datasets.sensor_store.readings import ReadingStoreDataset
from quartet.datasets.study import StudyDataset
from quartet.datasets.tables import QuestionsDataset


@pytest.mark.parametrize(
    ("dataset", "argument"),
    [
        *((SensorSourceDataset, "filepath"), (CheckpointDataset, "filepath")),
        *((MediaDataset, "filepath"), (PictureDataset, "filepath")),
        *((StudyDataset, "filepath"), (QuestionsDataset, "filepath")),
        *((PictureFolderDataset, "folder"), (ReadingStoreDataset, "filepath")),
    ],
)
def test_save_raises(tmp_path, dataset, argument):
    with pytest.raises(DatasetError, match=r"read-only|can only be an input"):
        dataset(**{argument: str(tmp_path / "input.csv")}).save("anything")
