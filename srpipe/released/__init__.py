"""Trained generators that come with the package, as safetensors; MODEL_CARD.md describes them.

`srpipe.models.released` finds them by name.
"""
