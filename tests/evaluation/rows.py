"""Rows of scores, as the stages make them."""

import functools

from srpipe.data.packed import Packed
from srpipe.evaluation.generated import generated
from srpipe.evaluation.scorer import Row, baselines, scored_pair
from srpipe.models.base import SRGenerator


def baseline_row(packed: Packed, row: int, back_projections: int = 3) -> Row:
    """Return a row of the baseline stage."""
    methods = functools.partial(baselines, packed.scale, back_projections)
    return scored_pair(methods, packed.pair(row))


def model_row(model: SRGenerator, packed: Packed, row: int, *, consistent: bool = False) -> Row:
    """Return a row of the evaluate stage."""
    methods = functools.partial(generated, {"": model}, "cpu", consistent)
    return scored_pair(methods, packed.pair(row))
