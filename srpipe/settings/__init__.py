"""`params.yaml`, typed: one module a part of the pipeline."""
