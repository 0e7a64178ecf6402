"""What tests of training share: a training that takes a second."""

from copy import deepcopy
from typing import Any

from srpipe.data.packed import Packed
from srpipe.metrics.features import ContentFeatures
from srpipe.settings.train import Train
from srpipe.training.task import Task

SETTINGS: dict[str, Any] = {
    "seed": 0,
    "start": None,
    "epochs": 3,
    "fine_epochs": 0,
    "batch_size": 4,
    "optimizer": "adamw",
    "learning_rate": 1e-3,
    "schedule": "cosine",
    "final_rate": 0.05,
    "warmup_steps": 0,
    "weight_decay": 0.0,
    "gradient_clip": 0.0,
    "ema": 0.9,
    "precision": "fp32",
    "validation_images": 2,
    "generator": {
        "name": "swift_srgan",
        "channels": 1,
        "features": 8,
        "blocks": 1,
        "bicubic_skip": True,
    },
    "crops": {
        "size": 32,
        "per_image": 3,
        "candidates": 1,
        "shifts": False,
        "turns": 1.0,
        "markers": 0.0,
        "jitter": 0.0,
        "acquired": {
            "share": 0.0,
            "noise": 8.0,
            "dose": 0.1,
            "blur": 0.5,
            "jpeg": 60,
            "bits": 12,
        },
        "margin": 0,
    },
    "loss": {
        "image": "l1",
        "fine_image": "psnr",
        "total_variation": 0.0,
        "adversarial": 0.01,
        "content": 0.0,
    },
    "adversarial": {
        "epochs": 1,
        "crops": {"size": 32, "per_image": 3},
        "learning_rate": 1e-4,
        "schedule": "constant",
        "form": "bce",
        "discriminator": {"name": "swift", "features": 4, "learning_rate": 1e-3},
        "content": {"network": "efficientnet_lite0", "weights": None},
    },
}
TRAIN_ROWS = [0, 1, 2, 3]
VALIDATION_ROWS = [4, 5]
# Of an epoch with these settings.
STEPS = 3


def settings(**changes: Any) -> Train:
    """Return settings of a tiny training: two pixel epochs and an adversarial one.

    Args:
        changes: other values; `crops__size=64` changes one in a section.
    """
    values = deepcopy(SETTINGS)
    for key, value in changes.items():
        *above, last = key.split("__")
        section = values
        for name in above:
            section = section[name]
        section[last] = value
    return Train.model_validate(values)


def task(packed: Packed, content: ContentFeatures | None = None, **changes: Any) -> Task:
    """Return the task of such a training on the six made images."""
    return Task(packed, TRAIN_ROWS, VALIDATION_ROWS, settings(**changes), content)
