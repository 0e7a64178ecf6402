"""Seeding: one call, before anything random."""

import torch


def seed_torch(seed: int) -> None:
    """Seed torch on every device. NumPy's generators are made where used, from the same seed."""
    torch.manual_seed(seed)
