"""Shared basics: errors, paths, files, hardware settings, the terminal."""
