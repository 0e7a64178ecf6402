"""The released generators beside everything else: tables and pictures for README and docs."""
