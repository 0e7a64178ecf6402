"""What a score means: PSNR, SSIM, masks, content distance, the baselines."""
