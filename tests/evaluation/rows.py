"""Rows of scores, as the stages make them."""

import functools

from srpipe.data.packed import Packed
from srpipe.evaluation.scorer import Row, baselines, scored_packed_pair, scored_pair
from srpipe.models.base import SRGenerator
from srpipe.models.inference import super_resolve


def baseline_row(packed: Packed, row: int, back_projections: int = 3) -> Row:
    """Return a row of the baseline stage."""
    methods = functools.partial(baselines, packed.scale, back_projections)
    return scored_packed_pair(methods, packed.folder, row)


def model_row(model: SRGenerator, packed: Packed, row: int, *, consistent: bool = False) -> Row:
    """Return a row of the evaluate stage."""
    return scored_pair(
        lambda lr: {"": super_resolve(model, lr, "cpu", consistent=consistent)}, packed.pair(row)
    )
