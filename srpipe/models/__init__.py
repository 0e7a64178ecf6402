"""Generators: architectures, weights files, inference, interpolation."""
