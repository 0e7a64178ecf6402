"""Training crops: sampling, augmentation, batching."""
