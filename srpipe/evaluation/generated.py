"""SR images of generators, as `scorer.scored_pairs` takes them."""

from collections.abc import Mapping

from srpipe.imaging.arrays import GreyImage
from srpipe.models.base import SRGenerator
from srpipe.models.inference import super_resolve


def generated(
    models: Mapping[str, SRGenerator], device: str, consistent: bool, lr: GreyImage
) -> dict[str, GreyImage]:
    """Return the SR images of generators on `device`, `uint8 (H, W)` by the generator's prefix.

    Raises:
        CheckpointError: as for `super_resolve`.
    """
    return {
        prefix: super_resolve(model, lr, device, consistent=consistent)
        for prefix, model in models.items()
    }
