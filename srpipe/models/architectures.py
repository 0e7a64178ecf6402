"""Every generator by the name that settings and checkpoints give it.

A new one is a file beside this one and a line here; `settings.train.Generator` allows its name.
"""

from srpipe.models.plain_sr import PlainSR
from srpipe.models.srresnet import SRGAN, SwiftSRGAN

ARCHITECTURES: dict[str, type[PlainSR] | type[SwiftSRGAN] | type[SRGAN]] = {
    "plain_sr": PlainSR,
    "swift_srgan": SwiftSRGAN,
    "srgan": SRGAN,
}
