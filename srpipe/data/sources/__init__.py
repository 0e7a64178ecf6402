"""Where the images come from: one module a kind of source, and the manifest that all of them write.

Each `fetch` leaves `data/raw/<name>/manifest.csv` and `source.json`; what comes after reads images
through `manifest.open_source` alone and need not know the kind.
"""
