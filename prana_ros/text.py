"""Figures as text that both people and programs read: aligned tables, numbers that JSON has."""

import math
from collections.abc import Sequence
from typing import Any


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells as text with columns of one width, a line under the first row."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def without_nan(value: Any) -> Any:
    """Replace numbers that JSON does not have by null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return value
