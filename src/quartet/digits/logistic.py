"""Multinomial logistic regression on pixels, fitted for many regularisation strengths at once.

For weights W and intercepts b the loss of one regularisation strength s is

    mean over images of -log softmax(x W + b)[label]  +  s / (2 n) * |W|²,

that of scikit-learn's LogisticRegression(C=1/s), divided by n. Two things make
the sweep fast. One pass over the images, limited by memory bandwidth, evaluates
all strengths: their weights are concatenated to one matrix. And L-BFGS is
preconditioned so that the Hessian is close to a multiple of the identity: the
pixels' second moments are the same for all strengths, so one eigendecomposition
serves every fit.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from quartet.digits.data import Digits, Images, list_classes
from quartet.digits.lbfgs import LBFGS

Weights = dict[str, NDArray[np.float32]]
"""`coefficients` of shape (784, classes), for pixels from 0 to 1; `intercepts`, (classes,)."""

_CURVATURE = 0.05
"""Typical p(1 - p) of a model fitted on MNIST, by which the Hessian approximation scales the
pixels' second moments; between 0.03 and 0.08 the number of passes hardly changes."""


@dataclass(frozen=True)
class Fit:
    """The fit of one regularisation strength."""

    strength: float
    weights: Weights
    passes: int
    """Passes over the images until convergence."""
    seconds: float
    """Time from the start of the sweep to the end of this fit."""


def fit(
    digits: Digits,
    strengths: Sequence[float],
    tolerance: float,
    max_passes: int,
    on_fit: Callable[[Fit], None] = lambda _: None,
    start_from: Weights | None = None,
) -> list[Fit]:
    """Fit all strengths together, in as many passes over the images as the slowest one needs.

    Args:
        digits: Training images and labels.
        strengths: Regularisation strengths, each above 0.
        tolerance: Largest component of the preconditioned gradient at convergence.
        max_passes: Passes after which a fit stops without convergence, with a warning.
        on_fit: Called with each fit as soon as it has finished.
        start_from: Initial weights, of a fit to similar digits; zeros by default. They
            reduce the number of passes and do not change the minimum.

    Returns:
        The fits in the order of `strengths`.
    """
    start = time.perf_counter()
    problem = _Problem(digits)
    # The optimisers minimise over z, with weights = preconditioner @ z.
    preconditioners = {strength: problem.preconditioner(strength) for strength in strengths}
    initial = (
        torch.zeros(problem.features, problem.classes, dtype=torch.float64)
        if start_from is None
        else _stack(start_from)
    )
    optimisers = {
        strength: LBFGS(torch.linalg.solve(preconditioner, initial).numpy().ravel(), tolerance)
        for strength, preconditioner in preconditioners.items()
    }
    fits: dict[float, Fit] = {}
    with tqdm(
        total=len(strengths),
        desc="fitting logistic regressions",
        unit="fit",
        disable=None,
        delay=2,
        miniters=0,
    ) as bar:
        passes = _run_passes(problem, preconditioners, optimisers, max_passes, start)
        for count, finished in enumerate(passes, 1):
            for result in finished:
                fits[result.strength] = result
                on_fit(result)
            bar.set_postfix_str(f"{count} passes over the images", refresh=False)
            bar.update(len(finished))
    return [fits[strength] for strength in strengths]


def _run_passes(
    problem: _Problem,
    preconditioners: Mapping[float, torch.Tensor],
    optimisers: Mapping[float, LBFGS],
    max_passes: int,
    start: float,
) -> Iterator[list[Fit]]:
    """Yield the fits that finish with each pass over the images, until all have finished."""
    active = list(preconditioners)
    while active:
        weights = [
            preconditioners[strength] @ problem.to_matrix(optimisers[strength].ask())
            for strength in active
        ]
        losses, gradients = problem.losses(weights)
        finished = []
        for strength, weight, loss, gradient in zip(
            active, weights, losses, gradients, strict=True
        ):
            optimiser, preconditioner = optimisers[strength], preconditioners[strength]
            penalty, penalty_gradient = problem.penalty(weight, strength)
            preconditioned = preconditioner @ (gradient + penalty_gradient)
            optimiser.tell(float(loss) + penalty, preconditioned.numpy().ravel())
            if optimiser.finished or optimiser.evaluations >= max_passes:
                if not optimiser.finished:
                    warnings.warn(
                        f"regularisation strength {strength:g}: not converged after {max_passes} "
                        "passes; increase max_passes or tolerance",
                        stacklevel=3,
                    )
                best = preconditioner @ problem.to_matrix(optimiser.point)
                seconds = time.perf_counter() - start
                finished.append(Fit(strength, _split(best), optimiser.evaluations, seconds))
        done = {result.strength for result in finished}
        active = [strength for strength in active if strength not in done]
        yield finished


def predict_proba(weights: Weights, images: Images) -> NDArray[np.float32]:
    """Return class probabilities, shape (n, classes), rows summing to 1."""
    logits = torch.addmm(
        torch.from_numpy(weights["intercepts"]),
        _scale_pixels(images),
        torch.from_numpy(weights["coefficients"]),
    )
    result: NDArray[np.float32] = torch.softmax(logits, dim=1).numpy()
    return result


class _Problem:
    """The loss on a data set: images with a column of ones, and labels.

    Its products are all PyTorch's: the threads of NumPy's library would keep the cores busy
    between them, and slow the sweep on two cores by half.
    """

    def __init__(self, digits: Digits) -> None:
        pixels = _scale_pixels(digits["images"])
        self._images = torch.cat([pixels, torch.ones(len(pixels), 1)], dim=1)
        self._labels = torch.from_numpy(digits["labels"].astype(np.int64))
        self.classes = len(list_classes(digits))
        self.size, self.features = self._images.shape
        moments = (self._images.T @ self._images).double() / self.size
        self._moments, self._axes = torch.linalg.eigh(moments)

    def to_matrix(self, vector: NDArray[np.float64]) -> torch.Tensor:
        """Return a vector of the optimiser as a matrix of shape (785, classes)."""
        return torch.from_numpy(vector).view(-1, self.classes)

    def preconditioner(self, strength: float) -> torch.Tensor:
        """Return the inverse square root of the approximate Hessian, shape (785, 785)."""
        hessian = _CURVATURE * self._moments.clip(min=0) + strength / self.size
        return (self._axes / hessian.sqrt()) @ self._axes.T

    def penalty(self, weights: torch.Tensor, strength: float) -> tuple[float, torch.Tensor]:
        """Return the L2 penalty and its gradient; intercepts (the last row) are not penalised."""
        gradient = weights * (strength / self.size)
        gradient[-1] = 0
        return 0.5 * float((gradient * weights).sum()), gradient

    def losses(
        self, weights: Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, Sequence[torch.Tensor]]:
        """Return mean log loss and gradient of each weight matrix, shape (785, classes)."""
        count = len(weights)
        concatenated = torch.cat(list(weights), dim=1).float()
        logits = (self._images @ concatenated).view(self.size, count, self.classes)
        log_p = logits - torch.logsumexp(logits, dim=2, keepdim=True)
        labels = self._labels[:, None, None].expand(-1, count, 1)
        log_p_label = log_p.gather(2, labels)
        losses = -log_p_label.sum(dim=(0, 2), dtype=torch.float64) / self.size
        # The gradient with respect to the logits: probabilities minus the one-hot labels.
        residuals = log_p.exp_().scatter_add_(2, labels, torch.full_like(log_p_label, -1.0))
        gradient = residuals.view(self.size, -1).T @ self._images / self.size
        return losses, gradient.T.double().chunk(count, dim=1)


def _scale_pixels(images: Images) -> torch.Tensor:
    """Return pixels as float32 from 0 to 1, shape (n, 784)."""
    return torch.from_numpy(images.reshape(len(images), -1)).float().div_(255)


def _stack(weights: Weights) -> torch.Tensor:
    """Stack the coefficients on the intercepts, float64, shape (785, classes)."""
    stacked = np.vstack([weights["coefficients"], weights["intercepts"]])
    return torch.from_numpy(stacked).double()


def _split(weights: torch.Tensor) -> Weights:
    """Return coefficients and intercepts of a matrix of `_stack`, as float32."""
    array = weights.float().numpy()
    return {"coefficients": np.ascontiguousarray(array[:-1]), "intercepts": array[-1].copy()}
