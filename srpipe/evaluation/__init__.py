"""What comes of scores: intervals, curves, panels, reports."""
