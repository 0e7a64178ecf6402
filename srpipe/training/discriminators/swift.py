"""The discriminator of Swift-SRGAN: eight blocks of depthwise separable convolutions.

Architecture: Ledig et al., CVPR 2017, figure 4; separable convolutions: Krishnan et al., 2021 (see
`models.srresnet`). It outputs a logit, without sigmoid: losses on logits are numerically stable.
"""

from torch import Tensor, nn

from srpipe.models.srresnet import SeparableConv2d

STRIDES = (1, 2, 1, 2, 1, 2, 1, 2)
WIDTHS = (1, 1, 2, 2, 4, 4, 8, 8)


class Discriminator(nn.Module):
    """Discriminates HR from SR crops, with one logit per crop.

    Args:
        channels: image channels, 1 or 3.
        features: channels of the first block; the last has eight times as many.
    """

    def __init__(self, *, channels: int = 1, features: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = channels
        for index, (factor, stride) in enumerate(zip(WIDTHS, STRIDES, strict=True)):
            # BatchNorm on the input block would hide the brightness that it should see.
            norm = index > 0
            layers += [
                SeparableConv2d(width, factor * features, 3, stride, padding=1, bias=not norm),
                nn.BatchNorm2d(factor * features) if norm else nn.Identity(),
                nn.LeakyReLU(0.2, inplace=True),
            ]
            width = factor * features
        self.blocks = nn.Sequential(*layers)
        last = nn.Linear(1024, 1)
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(6),
            nn.Flatten(),
            nn.Linear(width * 6 * 6, 1024),
            nn.LeakyReLU(0.2, inplace=True),
            last,
        )
        self._start_undecided(last)

    def _start_undecided(self, last: nn.Linear) -> None:
        """Keep the scale of the signal through the layers, and start near logit 0.

        HR and SR crops differ by a hundredth of their brightness. With torch's default
        initialisation, which shrinks the signal in every layer, the discriminator was still at
        chance after 70 steps; with He initialisation (ICCV 2015) it separated them after 20.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                depthwise = isinstance(module, nn.Conv2d) and module.groups > 1
                nn.init.kaiming_normal_(module.weight, a=1.0 if depthwise else 0.2)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(last.weight, std=0.01)

    def forward(self, image: Tensor) -> Tensor:
        """Score `(N, channels, H, W)` in [0, 1], H and W at least 32: logits `(N,)`, high is HR."""
        return self.classifier(self.blocks(image)).squeeze(1)  # type: ignore[no-any-return]
