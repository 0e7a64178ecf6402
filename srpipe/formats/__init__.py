"""Image files in and out: the only package that knows file formats."""
