"""Interactive confusion matrices show the counts, and any name of a class as it is."""

from html import unescape

import numpy as np

from quartet.digits.interactive_figures import plot_confusion_matrix

NAMES = ["cat", "<img src=x> & a name that is longer than twenty"]


def test_each_cell_has_its_count_and_the_images_of_the_actual_class():
    confusion = np.array([[5, 2], [0, 7]])
    figure = plot_confusion_matrix(confusion, "model")
    (matrix,) = figure.data
    assert np.array(matrix.customdata)[..., 0].tolist() == confusion.tolist()
    assert np.array(matrix.customdata)[..., 1].tolist() == [[7, 7], [7, 7]]
    assert np.array(matrix.z).tolist() == [[0, 2], [0, 0]]  # errors are coloured
    assert np.array(matrix.text).tolist() == [["5", "2"], ["", "7"]]
    assert figure.layout.title.text == "model: 2 errors in 14 test images"
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == (
        "predicted",
        "actual",
    )


def test_without_errors_the_title_states_it_and_the_scale_is_valid():
    figure = plot_confusion_matrix(np.diag([3, 4]), "network")
    assert figure.layout.title.text == "network: 0 errors in 7 test images"
    assert figure.data[0].zmax == 1


def test_names_are_no_markup_and_short_at_the_axes():
    figure = plot_confusion_matrix(np.diag([3, 4]), "model", NAMES)
    for labels in (figure.data[0].x, figure.data[0].y):
        assert list(map(unescape, labels)) == NAMES
        assert "<" not in "".join(labels)
    assert list(figure.layout.yaxis.ticktext) == ["cat", "&lt;img src=x&gt; &amp; a name…"]


def test_many_classes_have_no_numbers_in_cells():
    assert plot_confusion_matrix(np.eye(17, dtype=int), "model").data[0].text is None
