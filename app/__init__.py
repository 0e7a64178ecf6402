"""The web page, on the public functions of srpipe: `make app`."""
