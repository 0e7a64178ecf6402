"""What the page says of itself: what, how, and at what risk (MODEL_CARD.md has the figures)."""

WARNING = (
    "**Not for diagnosis.** A network can blur or invent detail. Detail that the small image does "
    "not contain cannot be recovered: what is shown there is a guess."
)
WHAT = (
    "Enlarges chest radiographs four times each way, such as 256x256 to 1024x1024, and shows how "
    "far to trust the result. Uploads stay in the server's memory while this page is open."
)
OUT_OF_RANGE = (
    "**Out of range**: {}. What the network makes of such an image was not measured: do not trust "
    "it."
)
NO_INTERVAL = (
    " No interval: only plain_sr_x4 has a calibrated one, which holds for neither mixtures nor "
    "consistent results."
)
METHOD = """\
A convolutional network adds what bicubic interpolation lacks. The default, plain_sr_x4 of 0.45
million parameters, was trained on radiographs of NIH ChestX-ray14 that were made smaller the way
detectors record them: with noise, dose, blur and JPEG. On 31 test images of other patients, made
smaller without noise, its masked PSNR is 44.87 dB; bicubic's is 41.88.

- **Interval half width**: for a new patient like those of ChestX-ray14, 90% of the pixels of the
  truth are expected within SR plus or minus this. It promises nothing for one image or one pixel.
- **PSNR** needs the truth: give a high-resolution radiograph, which is made smaller first. *Masked*
  leaves out burned-in letters and the border. **LR-PSNR** compares the result, made smaller again,
  with its input.
"""
RISKS = """\
- **Low-contrast nodules are lost with the noise.** A model observer finds fewer of them in what
  plain_sr_x4 makes of noisy images than in bicubic's, but as many where the result is made
  consistent. Where faint lesions matter, make it so, or keep the original.
- Fine texture is smoothed, and unseen letters are drawn with wrong strokes.
- The adversarial model is sharper, and further from the truth.
- All models but plain_sr_x4 and plain_sr_x4_adversarial do harm on noisy images: from two grey
  levels of noise on they are worse than bicubic.
- Not a medical device; no clinical study was done. One hospital's images; effects of sex, age and
  pathology were not examined.
"""
MIXTURE = "a mixture: fidelity to sharpness"
# In the order of the list, the default first. Mere initial weights are not offered.
MODELS = {
    "plain_sr_x4": "for radiographs as detectors record them: the default",
    "plain_sr_ideal_x4": "only without noise, as software makes images smaller",
    "plain_sr_small_x4": "the fastest; without noise only",
    "plain_sr_x4_adversarial": "sharper, and further from the truth: not for measurements",
    "swift_srgan_x4": "Swift-SRGAN (Krishnan et al., 2021), for comparison",
    MIXTURE: "of plain_sr_x4 and plain_sr_x4_adversarial",
}
