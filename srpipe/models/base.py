"""The base of all generators: inputs and outputs, and the global bicubic skip.

With the skip (J. Kim et al., "VDSR", CVPR 2016, with Pillow's bicubic) the output is bicubic plus a
tenth of the network's output, and the network sees ten times the LR image's difference from its 5x5
mean: the residual is only about 0.005 in magnitude, and a network that starts from whole grey
levels spends its first thousand steps finding that scale.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from srpipe.models.form import SCALES, SKIP_GAIN, SKIP_RADIUS


class SRGenerator(nn.Module):
    """A network from LR to SR images.

    Args:
        channels: image channels, 1 (grey) or 3 (RGB).
        scale: 2, 4 or 8.
        bicubic_skip: whether the bicubic interpolation of the input is added to the output.

    Raises:
        ValueError: `scale` or `channels` is not one of the allowed values.
    """

    def __init__(self, *, channels: int, scale: int, bicubic_skip: bool) -> None:
        super().__init__()
        if scale not in SCALES:
            raise ValueError(f"scale is {scale}: must be one of {SCALES}")
        if channels not in (1, 3):
            raise ValueError(f"channels is {channels}: must be 1 or 3")
        self.channels = channels
        self.scale = scale
        self.bicubic_skip = bicubic_skip

    @property
    def reach(self) -> int:
        """LR pixels beside its own, each way, that an SR pixel depends on (`form`)."""
        raise NotImplementedError

    def require(self, lr: Tensor) -> None:
        """Refuse a batch of the wrong shape.

        Raises:
            ValueError: the shape is not `(N, channels, H, W)`.
        """
        if lr.ndim != 4 or lr.shape[1] != self.channels:
            raise ValueError(f"LR must be (N, {self.channels}, H, W), got {tuple(lr.shape)}")


def upscale_bicubic(lr: Tensor, scale: int) -> Tensor:
    """Interpolate `(N, C, H, W)` to `(N, C, scale*H, scale*W)`; the Keys kernel with a = -0.5.

    `antialias=True` gives torch Pillow's kernel; without it a = -0.75.
    """
    sr: Tensor = F.interpolate(
        lr, scale_factor=scale, mode="bicubic", align_corners=False, antialias=True
    )
    return sr


def local_detail(lr: Tensor) -> Tensor:
    """Return ten times the difference of `(N, C, H, W)` from its 5x5 mean, H and W at least 3."""
    size = 2 * SKIP_RADIUS + 1
    around = F.pad(lr, [SKIP_RADIUS] * 4, mode="reflect")
    return (lr - F.avg_pool2d(around, size, stride=1)) * SKIP_GAIN
