"""Judgement: one scorer for baselines and models."""
