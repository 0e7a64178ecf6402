"""`params.yaml`, typed: one module per section."""
