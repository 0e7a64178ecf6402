"""Operations on images and no more: resampling, data consistency, lettering, tensors."""
