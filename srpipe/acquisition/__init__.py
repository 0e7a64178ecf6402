"""How HR becomes LR: detectors, dose, noise, files."""
