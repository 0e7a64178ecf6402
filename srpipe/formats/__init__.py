"""Reading and writing image files; the only package that knows file formats."""
