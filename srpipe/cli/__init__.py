"""The command line, `srpipe`."""
