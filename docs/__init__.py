"""Documentation sources, so that figure commands run as modules."""
