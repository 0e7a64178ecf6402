"""The exposed field and the bars around it."""

import numpy as np

from srpipe.phantom.collimation import Field, bar_mask, exposed_share, sample_field
from srpipe.phantom.seeding import Stream, generator


def test_collimation_leaves_the_middle_and_takes_the_margins() -> None:
    """Shares are 0 outside and 1 inside; bars are exactly as wide as asked."""
    field = Field((0.1, 0.0, 0.05, 0.0), (0.0,) * 4, 1.0, True, (0.0, 0.25, 0.0, 0.0))
    share = exposed_share(field, 200)
    assert share[100, 100] == 1
    assert share[100, 5] == 0
    assert share[3, 100] == 0
    assert bar_mask(field, 200)[:, 150:].all()
    assert not bar_mask(field, 200)[:, :150].any()


def test_some_fields_show_edges_and_some_do_not() -> None:
    """Both kinds are common, so that neither is a surprise."""
    fields = [sample_field(generator(0, Stream.MARKERS, p, 0)) for p in range(1, 200)]
    with_edges = np.mean([any(f.margins) or any(f.bars) for f in fields])
    assert 0.5 < with_edges < 0.95
