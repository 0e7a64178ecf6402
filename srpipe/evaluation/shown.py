"""The acquisitions under which the released generators are shown and calibrated."""

from srpipe.settings.acquisition import Acquisition

# Of their noise.
NOISE_SEED = 0
# By name; see docs/acquisition.md.
SHOWN = {
    "ideal": Acquisition(),
    "noise 1": Acquisition(noise=1.0),
    "noise 2": Acquisition(noise=2.0),
    "noise 4": Acquisition(noise=4.0),
    "noise 8": Acquisition(noise=8.0),
    "dose 1/2": Acquisition(dose=1 / 2),
    "dose 1/4": Acquisition(dose=1 / 4),
    "dose 1/8": Acquisition(dose=1 / 8),
    "binned": Acquisition(sampling="box"),
    "blurred": Acquisition(blur=0.5),
    "JPEG 90": Acquisition(jpeg=90),
    "JPEG 75": Acquisition(jpeg=75),
}
