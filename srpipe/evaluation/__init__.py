"""Scoring, intervals, curves, panels, reports."""
