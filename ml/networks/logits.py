"""From the logits of a network's classes to the one logit of tumor that masks are made of."""

import torch


def tumor_logit(logits: torch.Tensor) -> torch.Tensor:
    """(N, K, h, w) -> (N, 1, h, w), whose sigmoid is the probability of any class but the background.

    K = 1: the logit itself. K > 1, class 0 is background: 1 - softmax_0 = sigmoid(logsumexp(z_1..) - z_0).
    """
    if logits.shape[1] == 1:
        return logits
    return torch.logsumexp(logits[:, 1:], dim=1, keepdim=True) - logits[:, :1]
