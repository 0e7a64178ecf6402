"""Images out of the range that the default network was trained for: which are told."""
