"""Upscaling radiographs with a trained generator."""
