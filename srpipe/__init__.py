"""Super-resolution of chest radiographs: the core that the pipeline's stages call."""
