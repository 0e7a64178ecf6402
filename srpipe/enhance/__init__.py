"""Enhancing radiographs with a trained generator."""
