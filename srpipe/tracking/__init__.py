"""Runs as MLflow shows them."""
