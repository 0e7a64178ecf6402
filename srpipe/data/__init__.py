"""Image sources, packed HR and LR pairs, and the split by patient."""
