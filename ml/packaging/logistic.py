"""Multinomial logistic regression with an L2 penalty, every class of equal weight. No more than the checks need."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp


def fit_logistic(
    standard: NDArray[np.float64], labels: NDArray[np.integer], classes: int, penalty: float
) -> NDArray[np.float64]:
    """standard: float64 (N, D), standardized features; labels: int (N,), 0 to classes - 1, each of them present.

    Returns the weights, float64 (D + 1, classes), the intercepts last.
    """
    count, width = standard.shape
    truth = np.eye(classes)[labels]  # (N, classes)
    weight = (count / (classes * np.bincount(labels, minlength=classes)))[labels] / count  # (N,)

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = flat.reshape(width + 1, classes)
        logits = standard @ weights[:-1] + weights[-1]
        log_p = logits - logsumexp(logits, axis=1, keepdims=True)
        errors = (np.exp(log_p) - truth) * weight[:, None]
        slope = np.vstack([standard.T @ errors + penalty * weights[:-1], errors.sum(axis=0)])
        value = -(weight * (log_p * truth).sum(axis=1)).sum() + penalty / 2 * (weights[:-1] ** 2).sum()
        return float(value), slope.ravel()

    found = minimize(loss, np.zeros((width + 1) * classes), jac=True, method="L-BFGS-B", options={"maxiter": 300})
    weights: NDArray[np.float64] = found.x.reshape(width + 1, classes)
    return weights
