"""Drawing acquisitions to train on, from the ranges in the settings.

Degradations are switched on one by one, so that many crops have one alone: too wide a mixture costs
quality on each (arXiv 2305.18107). Little noise and high doses are drawn more often, because
that is where a network that does too much loses most.
"""

import numpy as np

from srpipe.settings.acquisition import Acquisition, Acquisitions

# How often each is switched on, in an acquired crop.
NOISE = 0.6
DOSE = 0.3
BLUR = 0.25
BOX = 0.3
JPEG = 0.25
BITS = 0.2
# The best JPEG quality that is drawn; up to the scintillator's spread, in LR pixels.
BEST_JPEG = 97
CORRELATION = 0.7


def drawn(ranges: Acquisitions, rng: np.random.Generator) -> Acquisition:
    """Draw an acquisition; where nothing is switched on, it is the ideal one."""
    noise, dose, blur, box, jpeg, bits = rng.random(6) < (NOISE, DOSE, BLUR, BOX, JPEG, BITS)
    amount = rng.random(6)
    quality = None
    if jpeg and ranges.jpeg is not None:
        quality = round(ranges.jpeg + amount[3] * max(BEST_JPEG - ranges.jpeg, 0))
    return Acquisition(
        sampling="box" if box else "bicubic",
        noise=float(ranges.noise * amount[0] ** 1.5) if noise else 0.0,
        dose=float(ranges.dose ** amount[1]) if dose else 1.0,
        correlation=float(CORRELATION * amount[4]) if dose else 0.0,
        blur=float(ranges.blur * amount[2]) if blur else 0.0,
        bits=8 + int(amount[5] * (ranges.bits - 7)) if bits and quality is None else 8,
        jpeg=quality,
    )
