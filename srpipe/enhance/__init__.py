"""Upscaling radiographs with a trained generator, and writing what comes out."""
