"""Means that leave out padding: the steps of a chunk that lie beyond its episode."""

from torch import Tensor


def masked_mean(error: Tensor, is_pad: Tensor | None) -> Tensor:
    """Mean of errors over the steps that are not padding, 0 where all are.

    Args:
        error: (..., H, A).
        is_pad: (..., H), true where a step lies beyond its episode; None where there is no padding.
    """
    if is_pad is None:
        return error.mean()
    kept = error.mean(-1).masked_fill(is_pad, 0)
    return kept.sum() / (~is_pad).sum().clamp(min=1)
