"""The channelised Hotelling observer with Laguerre-Gauss channels.

A linear observer that sees an image only through a few channels, and uses the covariance of their
outputs as an ideal linear one would (K. J. Myers and H. H. Barrett, "Addition of a channel
mechanism to the ideal-observer model", JOSA A 4, 1987). Laguerre-Gauss channels approximate the
Hotelling observer for a round signal of known place (B. D. Gallas and H. H. Barrett, "Validating
the use of channels to estimate the ideal linear observer", JOSA A 20, 2003; C. K. Abbey and H. H.
Barrett, "Human- and model-observer performance in ramp-spectrum noise", JOSA A 18, 2001).
"""

import functools
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import eval_laguerre

from srpipe.core.errors import DataError
from srpipe.evaluation.observer.nodules import PIXEL_MM

Array = npt.NDArray[np.float64]

CHANNELS = 6
# Half the side of the crop that is looked at, and the Gaussian's width over the nodule's diameter.
HALF, WIDTH = 32, 0.8
FOLDS = 5


@functools.cache
def channels(diameter: float) -> Array:
    """Return the channels for nodules of a diameter in mm, `(CHANNELS, 2 HALF + 1, 2 HALF + 1)`.

    Channel p is `sqrt(2)/a exp(-pi r^2/a^2) L_p(2 pi r^2/a^2)`, a being `WIDTH` diameters.
    """
    width = WIDTH * diameter / PIXEL_MM
    reach = np.arange(-HALF, HALF + 1)
    x = 2 * np.pi * (reach[:, None] ** 2 + reach**2) / width**2
    orders = np.arange(CHANNELS)[:, None, None]
    made: Array = np.sqrt(2) / width * np.exp(-x / 2) * eval_laguerre(orders, x)
    return made


def outputs(image: npt.NDArray[np.generic], y: int, x: int, diameter: float) -> Array:
    """Return the channels' outputs `(CHANNELS,)` around a place of an image."""
    crop = image[y - HALF : y + HALF + 1, x - HALF : x + HALF + 1]
    return np.asarray(np.tensordot(channels(diameter), crop.astype(np.float64), 2))


def trained(absent: Array, present: Array) -> tuple[Array, float]:
    """Return the observer's weights of the channels and its offset.

    Args:
        absent: outputs of crops without a nodule, `(crops, channels)`.
        present: the same of crops with one.

    Raises:
        DataError: there are too few crops for so many channels.
    """
    covariance = (np.cov(absent, rowvar=False) + np.cov(present, rowvar=False)) / 2
    # Few crops span few directions: what a solution has along the others is rounding.
    if np.linalg.matrix_rank(covariance) < absent.shape[1]:
        raise DataError(
            f"{len(absent)} + {len(present)} crops are too few to train the observer: give more "
            "images, or images in which more places are found"
        )
    means = absent.mean(axis=0), present.mean(axis=0)
    weights = np.linalg.solve(covariance, means[1] - means[0])
    return weights, float(weights @ (means[0] + means[1]) / 2)


def folds(patients: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the fold of every crop; all of a patient are in one."""
    # Shuffled by a checksum: IDs that follow one another may have more in common.
    order = sorted(set(patients), key=lambda patient: (zlib.crc32(patient.encode()), patient))
    fold = {patient: index % FOLDS for index, patient in enumerate(order)}
    return np.asarray([fold[patient] for patient in patients])


def cross_validated(absent: Array, present: Array, patients: Sequence[str]) -> tuple[Array, Array]:
    """Return the scores `(crops,)` without and with a nodule, by observers of other patients.

    Args:
        absent: outputs of crops without a nodule, `(crops, channels)`.
        present: of the same places with one.
        patients: of the crops.

    Raises:
        DataError: there are too few crops, or only one patient.
    """
    fold = folds(patients)
    if not fold.any():
        raise DataError("images of at least two patients are needed: the observer learns on others")
    scores = np.zeros(len(fold)), np.zeros(len(fold))
    for left_out in np.unique(fold):
        test = fold == left_out
        weights, offset = trained(absent[~test], present[~test])
        for found, given in zip(scores, (absent, present), strict=True):
            found[test] = given[test] @ weights - offset
    return scores
