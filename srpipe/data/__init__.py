"""From sources of images to the packed pairs and the split that all later stages use."""
