"""A model observer looks for nodules: what super-resolution does for a task."""
