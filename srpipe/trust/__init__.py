"""How far to trust an SR image."""
