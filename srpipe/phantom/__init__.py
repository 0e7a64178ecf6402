"""An embedded cohort of synthetic frontal chest radiographs, for use offline.

The images are for software tests, demonstrations and learning the pipeline. They are not evidence
about real radiographs: see docs/phantom.md.
"""
