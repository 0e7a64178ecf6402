"""Valid settings, to be changed."""

import copy
from typing import Any

import yaml

VALID = """
data:
  name: phantom
datasets:
  phantom:
    patients: 12
    max_images_per_patient: 3
    seed: 0
  folder:
    path: data/own
    patient_pattern: "^(?P<patient>[^_]+)"
    patient_table: null
    image_column: image
    patient_column: patient
    accept_patients: false
  nih:
    archive: null
  nih_sample:
    archive: null
downsample:
  scale: 4
  sixteen_bit: minmax
  acquisition: {}
  seed: 0
  damaged: refuse
split:
  use_lists: true
  same_image: refuse
  validation: 0.1
  test: 0.2
  seed: 0
baseline:
  back_projections: 3
  content_images: 1000
train:
  seed: 0
  start: null
  epochs: 3
  fine_epochs: 0
  batch_size: 4
  optimizer: adamw
  learning_rate: 0.0005
  schedule: cosine
  final_rate: 0.05
  warmup_steps: 0
  weight_decay: 0.0
  gradient_clip: 0.0
  ema: 0.99
  precision: fp32
  validation_images: 8
  generator:
    name: swift_srgan
    channels: 1
    features: 64
    blocks: 16
    bicubic_skip: true
  crops:
    size: 96
    per_image: 2
    candidates: 1
    shifts: false
    turns: 1.0
    markers: 0.0
    jitter: 0.0
    acquired: {share: 0.0, noise: 8.0, dose: 0.1, blur: 0.5, jpeg: 60, bits: 12}
    margin: 2
  loss:
    image: l1
    fine_image: psnr
    total_variation: 0
    adversarial: 0.001
    content: 0.006
  adversarial:
    epochs: 1
    crops:
      size: 64
      per_image: 1
    learning_rate: 0.0001
    schedule: constant
    form: bce
    discriminator:
      name: swift
      features: 64
      learning_rate: 0.001
    content:
      network: efficientnet_lite0
      weights: null
evaluate:
  consistent: false
  bootstrap_samples: 1000
  seed: 0
  curve_points: 5
  curve_images: 4
  acquisitions: {noise_2: {noise: 2.0}}
  acquisition_images: 2
"""


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    """Return the valid settings with dotted keys set; the value `...` takes the key away."""
    settings = copy.deepcopy(yaml.safe_load(VALID))
    for key, value in changes.items():
        *sections, last = key.split(".")
        place = settings
        for section in sections:
            place = place[section]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    return settings
