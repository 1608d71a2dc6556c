"""Training learns the style, resumes exactly, and reports invalid input."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch

from quartet.style import training
from quartet.style.network import build_network
from quartet.style.training import StyleTrainer, learning_rate, log_steps
from quartet.style.vgg import select_vgg_weights
from style_inputs import photographs, random_vgg, small_training, stripes

VGG = select_vgg_weights(random_vgg(), verify=False)


def create_trainer(painting=None, **changes):
    return StyleTrainer(
        stripes() if painting is None else painting, photographs(), VGG, small_training(**changes)
    )


def test_network_learns_the_style():
    trainer = create_trainer(steps=40, preview_every=10, learning_rate=2e-2)
    trainer.run(lambda trainer: None)
    style = [row["style"] for row in trainer.history]
    assert style[-1] < 0.7 * style[0]
    stylized = trainer.stylize(photographs()["0.png"])
    assert stylized.shape == (80, 96, 3)
    assert stylized.dtype == np.uint8
    build_network({name: torch.tensor(array) for name, array in trainer.weights().items()})


def test_history_has_one_row_per_logged_step():
    kept = []
    trainer = create_trainer(steps=5, preview_every=2)
    trainer.run(lambda trainer: kept.append(trainer.step))
    assert kept == [2, 4, 5] == log_steps(trainer.settings)
    assert [row["step"] for row in trainer.history] == [2, 4, 5]
    for row in trainer.history:
        assert row.keys() == {"step", "content", "style", "roughness", "learning_rate", "seconds"}
        assert all(np.isfinite(value) for value in row.values())
        assert row["seconds"] > 0
        assert row["learning_rate"] == learning_rate(row["step"] - 1, trainer.settings)


def test_saved_state_is_not_changed_by_later_steps():
    states = []
    trainer = create_trainer()
    trainer.run(lambda trainer: states.append(trainer.state()))
    again = create_trainer()
    again.restore(*states[0])
    again.run(lambda trainer: None)
    for name, array in trainer.weights().items():
        np.testing.assert_array_equal(array, again.weights()[name])


def test_seed_determines_the_network():
    first, same, other = create_trainer(), create_trainer(), create_trainer(seed=2)
    for trainer in (first, same, other):
        trainer.run(lambda trainer: None)
    name = "res3.conv1.conv2d.weight"
    np.testing.assert_array_equal(first.weights()[name], same.weights()[name])
    assert not np.array_equal(first.weights()[name], other.weights()[name])


def test_two_threads_match_one(monkeypatch):
    monkeypatch.setattr(training, "select_dtype", lambda where: torch.float32)
    double = create_trainer(batch_size=3)
    double.run(lambda trainer: None)
    single = create_trainer(batch_size=3)
    monkeypatch.setattr(StyleTrainer, "_open_workers", lambda self: nullcontext(map))
    single.run(lambda trainer: None)
    for name, array in single.weights().items():
        np.testing.assert_allclose(array, double.weights()[name], rtol=0, atol=2e-4)
    assert single.history[-1]["style"] == pytest.approx(double.history[-1]["style"], rel=1e-3)


def test_thread_count_and_random_state_of_the_caller_are_unchanged():
    torch.manual_seed(5)
    expected = torch.rand(3)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        torch.manual_seed(5)
        trainer = create_trainer(steps=1)
        seen = []
        trainer.run(lambda trainer: seen.append(torch.get_num_threads()))
        assert seen == [1]  # threads inside layers would busy-wait
        assert torch.get_num_threads() == 2
        assert torch.equal(torch.rand(3), expected)
    finally:
        torch.set_num_threads(threads)


def test_diverged_training_names_step_and_parameters():
    with pytest.raises(ValueError, match=r"training diverged at step 4 \(content ") as caught:
        create_trainer(style_weight=1e39).run(lambda trainer: None)
    assert "lower style_training.learning_rate (now 0.0015)" in str(caught.value)
    assert "style_weight (now 1e+39)" in str(caught.value)


def test_diverged_step_is_not_applied(monkeypatch):
    trainer, kept = create_trainer(steps=6), []
    uninterrupted = trainer._loss

    def loss(stylized, pictures):
        return uninterrupted(stylized * (float("nan") if trainer.step == 2 else 1), pictures)

    trainer._loss = loss
    with pytest.raises(ValueError, match=r"training diverged at step 3 \(content nan"):
        trainer.run(lambda trainer: kept.append(trainer.weights()))
    assert len(kept) == 1
    assert all(np.isfinite(array).all() for array in trainer.weights().values())


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 1), "painting: 1 × 1 pixels is too small"),
        ((31, 400), "painting: 400 × 31 pixels is too small"),
        ((40, 400), "too elongated; crop it to an aspect ratio of at most 8"),
    ],
)
def test_unsuitable_painting_raises(shape, message):
    with pytest.raises(ValueError, match=message):
        create_trainer(np.zeros((*shape, 3), np.uint8))


def test_uniform_painting_and_some_black_photographs_work():
    black = np.zeros((40, 40, 3), np.uint8)
    trainer = StyleTrainer(
        np.full((32, 32, 3), 255, np.uint8),
        {"a.png": black, "b.png": black, **photographs(2)},
        VGG,
        small_training(steps=8),
    )
    trainer.run(lambda trainer: None)
    assert np.isfinite(trainer.history[-1]["style"])
    assert all(np.isfinite(array).all() for array in trainer.weights().values())
    updates = trainer.state()[0]["step/conv1.conv2d.weight"]
    assert 0 < updates < 8  # an infinite gradient would have made all weights NaN


def test_only_black_photographs_raise():
    trainer = StyleTrainer(
        stripes(), {"a.png": np.zeros((40, 40, 3), np.uint8)}, VGG, small_training(steps=30)
    )
    with pytest.raises(ValueError, match=r"training diverged at step 20 .*photographs with more"):
        trainer.run(lambda trainer: None)


def test_learning_rate_warms_up_and_decays():
    settings = small_training(steps=1000)
    rates = [learning_rate(step, settings) for step in range(1000)]
    assert rates[0] < 0.05 * settings.learning_rate
    assert int(np.argmax(rates)) in range(40, 60)
    assert max(rates) == pytest.approx(settings.learning_rate, rel=0.02)
    assert rates[-1] < 0.02 * settings.learning_rate
    assert np.all(np.diff(rates[60:]) < 0)


def test_precision_follows_the_hardware(monkeypatch):
    results = []
    for kind in (torch.float32, torch.bfloat16):
        monkeypatch.setattr(training, "select_dtype", lambda where, kind=kind: kind)
        trainer = create_trainer(steps=2)
        trainer.run(lambda trainer: None)
        results.append(trainer.history[-1]["style"])
        assert all(array.dtype == np.float32 for array in trainer.weights().values())
    assert results[0] != results[1]
    assert results[0] == pytest.approx(results[1], rel=0.05)
