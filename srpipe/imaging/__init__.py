"""Image operations: resampling, data consistency, lettering, tensors."""
