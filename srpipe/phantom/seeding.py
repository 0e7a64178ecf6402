"""Random streams: one independent generator for each patient, exposure and purpose.

A stream is named by integers, never by the order of calls, so an image does not depend on which
images were drawn before it, in which process, or on how large the cohort is.
"""

from __future__ import annotations

import enum

import numpy as np


class Stream(enum.IntEnum):
    """What a random stream is for. The numbers are part of the data set: never reuse one."""

    COHORT = 1
    ANATOMY = 2
    VESSELS = 3
    TEXTURE = 4
    ACQUISITION = 5
    DEVICES = 6
    MARKERS = 7
    NOISE = 8
    SKELETON = 9


def generator(seed: int, stream: Stream, patient: int, follow_up: int = -1) -> np.random.Generator:
    """Return the generator of one stream.

    Args:
        seed: the cohort's seed, >= 0.
        stream: what the numbers are for.
        patient: patient number, >= 0.
        follow_up: follow-up number, or -1 for what all images of a patient share.
    """
    key = (int(stream), patient, follow_up + 1)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))
