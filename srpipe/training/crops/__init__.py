"""Which crops a training step sees: where they lie, what is drawn into them."""
