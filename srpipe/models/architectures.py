"""Generators by their names in settings and checkpoints.

To add one: a file beside this one, a line here, its name in `settings.train.Generator`, and its
kernels in `state_dict`.
"""

from srpipe.models.plain_sr import PlainSR
from srpipe.models.srresnet import SRGAN, SwiftSRGAN

ARCHITECTURES: dict[str, type[PlainSR] | type[SwiftSRGAN] | type[SRGAN]] = {
    "plain_sr": PlainSR,
    "swift_srgan": SwiftSRGAN,
    "srgan": SRGAN,
}
