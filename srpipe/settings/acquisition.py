"""Settings of acquisitions: how a detector records the LR image."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from srpipe.settings.base import Probability, Section, Weight

Blur = Annotated[float, Field(ge=0, le=2)]
Dose = Annotated[float, Field(ge=0.01, le=1)]
Bits = Annotated[int, Field(ge=8, le=16)]
Quality = Annotated[int, Field(ge=1, le=100)]


class Acquisition(Section):
    """One acquisition; a key that is left out has the value of the ideal one.

    Attributes:
        sampling: bicubic (antialiased), or box: the mean over a detector pixel's area.
        blur: standard deviation of a Gaussian point spread before sampling, in LR pixels.
        dose: fraction of the exposure of HR; quantum noise is that of the missing rest.
        correlation: standard deviation of the scintillator's spread of quantum noise, LR pixels.
        noise: standard deviation of white electronic noise, in grey levels of 255.
        bits: the LR image has 2**bits grey levels.
        jpeg: quality of a JPEG file in which LR was stored; null: stored without loss.
    """

    sampling: Literal["bicubic", "box"] = "bicubic"
    blur: Blur = 0.0
    dose: Dose = 1.0
    correlation: Blur = 0.0
    noise: Weight = 0.0
    bits: Bits = 8
    jpeg: Quality | None = None

    @model_validator(mode="after")
    def _jpeg_has_eight_bits(self) -> Self:
        if self.jpeg is not None and self.bits != 8:
            raise ValueError(f"bits is {self.bits}: a JPEG file has 8; set bits: 8 or jpeg: null")
        return self


IDEAL = Acquisition()


class Acquisitions(Section):
    """Ranges from which each training crop's acquisition is drawn (by `acquisition.draws`).

    Attributes:
        share: fraction of crops that are acquired; LR of the others is ideal.
        noise: largest `Acquisition.noise`.
        dose: smallest `Acquisition.dose`.
        blur: largest `Acquisition.blur`.
        jpeg: smallest `Acquisition.jpeg`; null: no JPEG.
        bits: largest `Acquisition.bits`.
    """

    share: Probability
    noise: Weight
    dose: Dose
    blur: Blur
    jpeg: Quality | None
    bits: Bits
