"""Training: the steps, the loop, its history."""
