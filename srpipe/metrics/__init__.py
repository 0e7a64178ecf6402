"""Scores (PSNR, SSIM, masks, content distance) and the baselines."""
