"""Reading image files, and writing 8-bit PNG; `enhance` writes other results."""
