"""The networks that tell HR from SR."""
