"""Tests of the synthetic cohort."""
