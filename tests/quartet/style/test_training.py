"""A training must learn the style, survive being stopped, and say what is wrong with its input."""

import logging

import numpy as np
import pytest
import torch

from painted import photographs, random_vgg, small_training, stripes
from quartet.datasets.checkpoint import CheckpointDataset, CheckpointState
from quartet.style import training
from quartet.style.network import build_network
from quartet.style.training import StyleTrainer, learning_rate, log_steps
from quartet.style.vgg import select_vgg_weights

VGG = select_vgg_weights(random_vgg(), verify=False)


def course(painting=None, **changes):
    return StyleTrainer(
        stripes() if painting is None else painting, photographs(), VGG, small_training(**changes)
    )


class StoppedError(Exception):
    """Stands for Ctrl-C or a lost machine."""


def test_a_network_takes_on_the_style():
    learning = course(steps=40, preview_every=10, learning_rate=2e-2)
    learning.run(lambda course: None)
    style = [row["style"] for row in learning.history]
    assert style[-1] < 0.7 * style[0]
    stylized = learning.stylize(photographs()["0.png"])
    assert stylized.shape == (80, 96, 3)
    assert stylized.dtype == np.uint8
    build_network({name: torch.tensor(array) for name, array in learning.weights().items()})


def test_the_history_has_a_row_for_every_note():
    kept = []
    learning = course(steps=5, preview_every=2)
    learning.run(lambda course: kept.append(course.step))
    assert kept == [2, 4, 5] == log_steps(learning.settings)
    assert [row["step"] for row in learning.history] == [2, 4, 5]
    for row in learning.history:
        assert row.keys() == {"step", "content", "style", "roughness", "learning_rate", "seconds"}
        assert all(np.isfinite(value) for value in row.values())
        assert row["seconds"] > 0
        assert row["learning_rate"] == learning_rate(row["step"] - 1, learning.settings)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_stopped_training_goes_on_to_the_very_same_weights(tmp_path, batch_size):
    whole = course(batch_size=batch_size, steps=5)
    whole.run(lambda course: None)
    checkpoint = CheckpointDataset(filepath=str(tmp_path / "checkpoint.safetensors")).load()

    def keep(course):
        checkpoint.store("key", CheckpointState(*course.state()))
        raise StoppedError

    with pytest.raises(StoppedError):
        course(batch_size=batch_size, steps=5).run(keep)
    state = checkpoint.restore("key")
    resumed = course(batch_size=batch_size, steps=5)
    resumed.restore(state.arrays, state.facts)
    assert resumed.step == 2
    resumed.run(lambda course: None)
    for name, array in whole.weights().items():
        np.testing.assert_array_equal(array, resumed.weights()[name])
    for own, other in zip(whole.history, resumed.history, strict=True):
        assert {**own, "seconds": 0} == {**other, "seconds": 0}


def test_state_kept_is_not_changed_by_further_steps():
    states = []
    learning = course()
    learning.run(lambda course: states.append(course.state()))
    again = course()
    again.restore(*states[0])
    again.run(lambda course: None)
    for name, array in learning.weights().items():
        np.testing.assert_array_equal(array, again.weights()[name])


def test_the_same_seed_gives_the_same_network_and_another_seed_another():
    first, same, other = course(), course(), course(seed=2)
    for learning in (first, same, other):
        learning.run(lambda course: None)
    name = "res3.conv1.conv2d.weight"
    np.testing.assert_array_equal(first.weights()[name], same.weights()[name])
    assert not np.array_equal(first.weights()[name], other.weights()[name])


def test_two_threads_learn_what_one_would(monkeypatch):
    monkeypatch.setattr(training, "select_dtype", lambda where: torch.float32)
    double = course(batch_size=3)
    double.run(lambda course: None)
    single = course(batch_size=3)
    monkeypatch.setattr(StyleTrainer, "_workers", lambda self: _plainly())
    single.run(lambda course: None)
    for name, array in single.weights().items():
        np.testing.assert_allclose(array, double.weights()[name], rtol=0, atol=2e-4)
    assert single.history[-1]["style"] == pytest.approx(double.history[-1]["style"], rel=1e-3)


class _plainly:  # noqa: N801  # reads as what it does
    def __enter__(self):
        return map

    def __exit__(self, *error):
        return None


def test_the_callers_threads_and_random_state_are_left_as_they_were():
    torch.manual_seed(5)
    expected = torch.rand(3)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        torch.manual_seed(5)
        learning = course(steps=1)
        seen = []
        learning.run(lambda course: seen.append(torch.get_num_threads()))
        assert seen == [1]  # threads inside layers would spin
        assert torch.get_num_threads() == 2
        assert torch.equal(torch.rand(3), expected)
    finally:
        torch.set_num_threads(threads)


def test_a_training_that_breaks_down_says_where_and_what_to_lower():
    with pytest.raises(ValueError, match=r"training diverged at step 4 \(content ") as caught:
        course(style_weight=1e39).run(lambda course: None)
    assert "lower style_training.learning_rate (now 0.0015)" in str(caught.value)
    assert "style_weight (now 1e+39)" in str(caught.value)


def test_a_broken_down_training_keeps_nothing_of_it(monkeypatch):
    learning, kept = course(steps=6), []
    whole = learning._loss

    def loss(stylized, pictures):
        return whole(stylized * (float("nan") if learning.step == 2 else 1), pictures)

    learning._loss = loss
    with pytest.raises(ValueError, match=r"training diverged at step 3 \(content nan"):
        learning.run(lambda course: kept.append(course.weights()))
    assert len(kept) == 1
    assert all(np.isfinite(array).all() for array in learning.weights().values())


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ((1, 1), "the painting is 1 × 1 pixels, too few"),
        ((31, 400), "the painting is 400 × 31 pixels, too few"),
        ((40, 400), "more than 8 times as long as wide"),
    ],
)
def test_a_painting_without_brush_strokes_is_refused(shape, told):
    with pytest.raises(ValueError, match=told):
        course(np.zeros((*shape, 3), np.uint8))


def test_a_plain_painting_and_some_black_photographs_are_no_fault():
    black = np.zeros((40, 40, 3), np.uint8)
    learning = StyleTrainer(
        np.full((32, 32, 3), 255, np.uint8),
        {"a.png": black, "b.png": black, **photographs(2)},
        VGG,
        small_training(steps=8),
    )
    learning.run(lambda course: None)
    assert np.isfinite(learning.history[-1]["style"])
    assert all(np.isfinite(array).all() for array in learning.weights().values())
    updates = learning.state()[0]["step/conv1.conv2d.weight"]
    assert 0 < updates < 8  # a gradient without end would have spoilt all weights


def test_only_black_photographs_are_told():
    learning = StyleTrainer(
        stripes(), {"a.png": np.zeros((40, 40, 3), np.uint8)}, VGG, small_training(steps=30)
    )
    with pytest.raises(ValueError, match=r"training diverged at step 20 .*photographs with more"):
        learning.run(lambda course: None)


def test_no_photograph_is_refused():
    with pytest.raises(ValueError, match="no photograph to learn on"):
        StyleTrainer(stripes(), {}, VGG, small_training())


def test_progress_is_told_where_no_terminal_shows_it(caplog):
    with caplog.at_level(logging.INFO, "quartet"):
        course(steps=4, preview_every=3).run(lambda course: None)
    told = [record.getMessage() for record in caplog.records]
    assert [line.partition(",")[0] for line in told] == ["step 3 of 4", "step 4 of 4"]
    assert all("content " in line and "style " in line for line in told)


def test_the_learning_rate_rises_then_falls_to_almost_nothing():
    settings = small_training(steps=1000)
    rates = [learning_rate(step, settings) for step in range(1000)]
    assert rates[0] < 0.05 * settings.learning_rate
    assert int(np.argmax(rates)) in range(40, 60)
    assert max(rates) == pytest.approx(settings.learning_rate, rel=0.02)
    assert rates[-1] < 0.02 * settings.learning_rate
    assert np.all(np.diff(rates[60:]) < 0)


def test_numbers_are_lowered_only_where_the_machine_multiplies_them(monkeypatch):
    results = []
    for kind in (torch.float32, torch.bfloat16):
        monkeypatch.setattr(training, "select_dtype", lambda where, kind=kind: kind)
        learning = course(steps=2)
        learning.run(lambda course: None)
        results.append(learning.history[-1]["style"])
        assert all(array.dtype == np.float32 for array in learning.weights().values())
    assert results[0] != results[1]
    assert results[0] == pytest.approx(results[1], rel=0.05)
