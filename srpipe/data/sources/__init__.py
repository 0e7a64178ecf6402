"""Image sources, one module each, and the manifest that all of them write.

Each `fetch` writes `data/raw/<name>/manifest.csv` and `source.json`; later stages read images only
through `manifest.open_source`, whatever the source.
"""
