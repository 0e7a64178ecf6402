"""What tests of training share: settings of a training that takes a second."""

from typing import Any

from srpipe.settings.train import Train

SETTINGS: dict[str, Any] = {
    "seed": 0,
    "start": None,
    "epochs": 3,
    "adversarial_epochs": 1,
    "fine_epochs": 0,
    "batch_size": 4,
    "crop": 32,
    "crops_per_image": 3,
    "adversarial_crop": 32,
    "adversarial_crops_per_image": 3,
    "crop_candidates": 1,
    "crop_shifts": False,
    "crop_turns": 1.0,
    "crop_markers": 0.0,
    "crop_jitter": 0.0,
    "crop_margin": 0,
    "learning_rate": 1e-3,
    "adversarial_learning_rate": 1e-4,
    "optimizer": "adamw",
    "schedule": "cosine",
    "adversarial_schedule": "constant",
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
    "discriminator": {"name": "swift", "features": 4, "learning_rate": 1e-3},
    "loss": {
        "image": "l1",
        "fine_image": "psnr",
        "adversarial_form": "bce",
        "adversarial": 0.01,
        "content": 0.0,
        "total_variation": 0.0,
    },
    "content": {"network": "efficientnet_lite0", "weights": None},
}


def settings(**changes: Any) -> Train:
    """Return settings of a tiny training: two pixel epochs and an adversarial one."""
    return Train.model_validate({**SETTINGS, **changes})
