"""Trained generators that come with the package, as safetensors; MODEL_CARD.md says what they are.

`srpipe.models.released` finds them by name.
"""
