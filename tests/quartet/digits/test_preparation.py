"""Images and labels of any form end as MNIST's, and both sets are changed in the same way."""

import numpy as np
import pytest

from quartet.digits.data import list_classes
from quartet.digits.preparation import RawSet, prepare_sets
from quartet.digits.sample import load_bundled_digits
from quartet.digits.settings import ImagePreparation

SETTINGS = ImagePreparation(seed=1)
RESIZE = ImagePreparation(seed=1, resize=True)
BUNDLED = load_bundled_digits()
IMAGES, LABELS = BUNDLED["images"][:60], BUNDLED["labels"][:60]


def prepare(images=IMAGES, labels=LABELS, settings=SETTINGS, test=None):
    test = test or (images, labels)
    return prepare_sets(RawSet(images, labels, "training"), RawSet(*test, "test"), settings)


def test_mnist_is_unchanged():
    train, test = prepare()
    for part in (train, test):
        assert part["images"] is IMAGES
        np.testing.assert_array_equal(part["labels"], LABELS)
        assert "classes" not in part


@pytest.mark.parametrize(
    "change",
    [
        lambda images: images / 255,
        lambda images: (images / 255).astype(np.float32)[..., None],
        lambda images: images[:, None],
        lambda images: np.repeat(images[..., None], 3, axis=3),
        lambda images: images.reshape(len(images), -1),
        lambda images: images.astype(np.int64),
        lambda images: 255 - images,
        list,
    ],
    ids=["0 to 1", "float32", "channel first", "colour", "flat", "int64", "inverted", "pictures"],
)
def test_the_same_images_in_another_form_are_the_same(change):
    for part in prepare(change(IMAGES)):
        assert part["images"].dtype == np.uint8
        np.testing.assert_allclose(part["images"], IMAGES, atol=1)


def test_faint_levels_are_scaled_by_the_training_set():
    train, test = prepare(IMAGES // 16, test=(IMAGES // 32, LABELS))
    assert train["images"].max() == 255
    assert 100 < test["images"].max() < 130


def test_invert_can_be_set():
    train, _ = prepare(settings=ImagePreparation(seed=1, invert=True))
    np.testing.assert_array_equal(train["images"], 255 - IMAGES)


def test_other_sizes_need_a_parameter():
    with pytest.raises(ValueError, match=r"56 x 28 pixels.*--params digit_images.resize=true"):
        prepare(np.kron(IMAGES, np.ones((2, 1), np.uint8)))


def test_resized_images_keep_their_shape_and_paper():
    large = np.kron(IMAGES, np.ones((1, 2, 2), np.uint8))
    train, _ = prepare(large, settings=RESIZE)
    assert np.abs(train["images"].astype(int) - IMAGES).mean() < 6
    wide = np.concatenate([255 - large, np.full_like(large, 255)], axis=2)
    narrow, _ = prepare(list(wide), settings=RESIZE)
    assert narrow["images"].shape == IMAGES.shape
    assert not narrow["images"][:, :6].any()  # the filled part is paper, too
    assert narrow["images"].max() > 200


def test_texts_are_names_of_classes_in_order():
    names = np.array(["nine", "ten", "zero"])[np.arange(60) % 3]
    train, test = prepare(labels=names)
    assert list_classes(train) == ["nine", "ten", "zero"]
    assert [list_classes(test)[label] for label in test["labels"]] == names.tolist()


def test_numbers_as_text_are_digits():
    train, _ = prepare(labels=LABELS.astype(str))
    np.testing.assert_array_equal(train["labels"], LABELS)
    assert "classes" not in train


@pytest.mark.parametrize("labels", [np.eye(10)[LABELS], LABELS[:, None], LABELS.astype(float)])
def test_labels_in_another_form_are_the_same(labels):
    np.testing.assert_array_equal(prepare(labels=labels)[0]["labels"], LABELS)


def test_other_numbers_are_classes_if_asked_for():
    labels = np.arange(60) % 3 * 5 + 2  # 2, 7, 12
    with pytest.raises(ValueError, match=r"label in row 2 is 12.*digit_images.labels=names"):
        prepare(labels=labels)
    train, _ = prepare(labels=labels, settings=ImagePreparation(seed=1, labels="names"))
    assert list_classes(train) == ["2", "7", "12"]


def test_a_class_that_is_only_tested_is_refused():
    labels = np.where(LABELS == 7, 8, LABELS)
    with pytest.raises(ValueError, match=r"^test set: contains the digit 7 \(\d images\), which"):
        prepare(labels=labels, test=(IMAGES, LABELS))


def test_without_test_set_a_share_of_each_class_is_held_out():
    settings = ImagePreparation(seed=1, test_fraction=0.5)
    raw = RawSet(IMAGES, LABELS, "training")
    train, test = prepare_sets(raw, None, settings)
    assert len(train["labels"]) + len(test["labels"]) == 60
    assert set(test["labels"]) == set(LABELS)
    again = prepare_sets(raw, None, settings)[1]
    np.testing.assert_array_equal(again["images"], test["images"])


def test_unreadable_pictures_are_left_out_with_their_labels():
    train, _ = prepare([None, *IMAGES[1:]])
    np.testing.assert_array_equal(train["labels"], LABELS[1:])


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES[:3], LABELS, "found 3 images but 60 labels"),
        (np.zeros((60, 28, 28)), LABELS, "largest grey level is 0"),
        (IMAGES.astype(int) * 9, LABELS, "grey levels are .* expected 0 to 1 or 0 to 255"),
        (IMAGES[:, :, :, None, None], LABELS, "expected numbers of shape n x 28 x 28"),
        (IMAGES, np.full(60, ""), "label in row 0 is empty"),
        (IMAGES, IMAGES, "expected one label per image; have the images and labels been swapped"),
    ],
)
def test_unusable_sets_are_refused(images, labels, message):
    with pytest.raises(ValueError, match=message):
        prepare(images, labels)
