"""What everything stands on: errors, paths, files, what the machine gives, the terminal."""
