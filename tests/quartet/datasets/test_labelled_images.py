"""Images keep their labels in every layout, and what is not there is named."""

import gzip

import numpy as np
import pytest
from kedro.io import DatasetError
from PIL import Image

from quartet.datasets.idx import IDXDataset
from quartet.datasets.labelled_images import LabelledImagesDataset

IMAGES = (np.arange(4 * 9).reshape(4, 3, 3) * 7).astype(np.uint8)
LABELS = np.array([3, 1, 3, 1], np.uint8)
NAMES = {
    ("train", "images"): "train-images-idx3",
    ("train", "labels"): "train-labels-idx1",
    ("test", "images"): "t10k-images-idx3",
    ("test", "labels"): "t10k-labels-idx1",
}


def load(folder, part, content):
    path = f"{folder}/{NAMES[part, content]}-ubyte.gz"
    return LabelledImagesDataset(filepath=path, part=part, content=content).load()


def save_idx(path, array):
    IDXDataset(filepath=str(path)).save(array)


def save_pictures(folder):
    for number, (image, label) in enumerate(zip(IMAGES, LABELS, strict=True)):
        (folder / f"class {label}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"class {label}/{number}.png")


def save_table(path, separator=",", header=True):
    names = ["label", *(f"p{i}" for i in range(9))]
    rows = [[label, *image.ravel()] for image, label in zip(IMAGES, LABELS, strict=True)]
    lines = [separator.join(map(str, row)) for row in ([names] if header else []) + rows]
    text = "\n".join(lines) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def test_labels_of_pictures_are_the_names_of_their_folders(tmp_path):
    save_pictures(tmp_path / "training")
    save_pictures(tmp_path / "test")
    for part in ("train", "test"):
        assert load(tmp_path, part, "labels").tolist() == ["class 1"] * 2 + ["class 3"] * 2
        images = load(tmp_path, part, "images")
        np.testing.assert_array_equal(np.stack(images), IMAGES[[1, 3, 0, 2]])


def test_a_picture_that_cannot_be_read_keeps_its_place(tmp_path, caplog):
    save_pictures(tmp_path)
    (tmp_path / "class 1/0.png").write_bytes(b"no picture")
    images = load(tmp_path, "train", "images")
    assert images[0] is None
    assert len(images) == len(load(tmp_path, "train", "labels")) == 5
    assert "0.png cannot be read and is left out" in caplog.text


@pytest.mark.parametrize("name", ["{}-{}.idx{}-ubyte", "emnist-mnist-{}-{}-idx{}-ubyte.gz"])
def test_idx_files_are_found_by_their_common_names(tmp_path, name):
    for part, start in (("train", 0), ("test", 1)):
        save_idx(tmp_path / name.format(part, "images", 3), IMAGES[start:])
        save_idx(tmp_path / name.format(part, "labels", 1), LABELS[start:])
    np.testing.assert_array_equal(load(tmp_path, "train", "images"), IMAGES)
    np.testing.assert_array_equal(load(tmp_path, "test", "labels"), LABELS[1:])


@pytest.mark.parametrize(
    ("images", "labels"), [("x_{}", "y_{}"), ("{}_images", "{}_labels"), ("X{}", "y{}")]
)
def test_arrays_are_found_by_their_common_names(tmp_path, images, labels):
    arrays = {}
    for part in ("train", "test"):
        word = part.title() if images == "X{}" else part
        arrays |= {images.format(word): IMAGES, labels.format(word): LABELS}
    np.savez(tmp_path / "data.npz", **arrays)
    for root in (tmp_path, tmp_path / "data.npz"):
        np.testing.assert_array_equal(load(root, "train", "images"), IMAGES)
        np.testing.assert_array_equal(load(root, "test", "labels"), LABELS)


@pytest.mark.parametrize(
    ("name", "separator"), [("a.csv", ","), ("a.csv.gz", ";"), ("a.tsv", "\t")]
)
@pytest.mark.parametrize("header", [True, False])
def test_tables_have_labels_and_pixels(tmp_path, name, separator, header):
    for part in ("train", "test"):
        save_table(tmp_path / f"{part}_{name}", separator, header)
    for part in ("train", "test"):
        np.testing.assert_array_equal(load(tmp_path, part, "images"), IMAGES.reshape(4, 9))
        assert load(tmp_path, part, "labels").tolist() == ["3", "1", "3", "1"]


@pytest.mark.parametrize(
    ("text", "labels"),
    [("letter,0,1\ny,10,20\n", ["y"]), ("letter,1,2\ny,10,20\n", ["y"]), ("y,10,20\n", ["y"])],
)
def test_numbers_above_pixels_are_a_header(tmp_path, text, labels):
    (tmp_path / "train.csv").write_text(text)
    assert load(tmp_path, "train", "labels").tolist() == labels
    assert load(tmp_path, "train", "images").tolist() == [[10, 20]]


def test_index_of_a_table_is_not_a_pixel(tmp_path):
    (tmp_path / "train.csv").write_text(",label,p0,p1\n0,5,10,20\n1,6,30,40\n")
    assert load(tmp_path, "train", "images").tolist() == [[10, 20], [30, 40]]


def make_csv(folder):
    save_table(folder / "digits.csv")


def make_npz(folder):
    np.savez(folder / "digits.npz", X=IMAGES, y=LABELS)


def make_idx(folder):
    save_idx(folder / "train-images-idx3-ubyte.gz", IMAGES)
    save_idx(folder / "train-labels-idx1-ubyte.gz", LABELS)


def make_competition(folder):
    save_table(folder / "train.csv")
    (folder / "test.csv").write_text("p0,p1\n1,2\n")


@pytest.mark.parametrize("make", [make_csv, make_npz, make_idx, make_competition, save_pictures])
def test_data_without_labelled_test_set_has_none(tmp_path, make):
    make(tmp_path)
    assert len(load(tmp_path, "train", "images")) == len(load(tmp_path, "train", "labels")) == 4
    assert load(tmp_path, "test", "images") is None
    assert load(tmp_path, "test", "labels") is None


def test_missing_labels_of_the_test_set_are_an_error(tmp_path):
    make_idx(tmp_path)
    save_idx(tmp_path / "t10k-images-idx3-ubyte.gz", IMAGES)
    with pytest.raises(DatasetError, match=r"t10k-labels.*no such file, nor other test labels"):
        load(tmp_path, "test", "labels")


def test_what_is_there_instead_is_named(tmp_path):
    (tmp_path / "notes.docx").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"folder contains notes\.docx; expected IDX files"):
        load(tmp_path, "train", "images")


def test_two_files_of_the_same_content_are_ambiguous(tmp_path):
    for name in ("train-images.npy", "train_x.npy"):
        np.save(tmp_path / name, IMAGES)
    with pytest.raises(DatasetError, match=r"may all be the train images; keep one"):
        load(tmp_path, "train", "images")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train.csv", b"a,b\n1,2\n", "expected a column label and one for each pixel, found a, b"),
        ("train.csv", b"label,p\n1,x\n", "a pixel is not a number"),
        ("train.csv", b"label,class,p\n1,1,1\n", "label and class may all be the labels"),
        ("train.csv", b"label,label,p\n1,2,1\n", "label and label may all be the labels"),
        ("d.npz", b"PK\x03\x04 not complete", "cannot be read"),
    ],
)
def test_unusable_files_are_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        load(tmp_path, "train", "images")


def test_links_to_folders_and_pictures_are_followed(tmp_path):
    save_pictures(tmp_path / "store")
    linked = tmp_path / "data/class 1"
    linked.mkdir(parents=True)
    for picture in (tmp_path / "store/class 1").iterdir():
        (linked / picture.name).symlink_to(picture)
    (tmp_path / "data/class 3").symlink_to(tmp_path / "store/class 3")
    assert load(tmp_path / "data", "train", "labels").tolist() == ["class 1"] * 2 + ["class 3"] * 2
