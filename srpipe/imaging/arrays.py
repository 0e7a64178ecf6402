"""Type aliases for image arrays."""

import numpy as np
import numpy.typing as npt

# uint8 (H, W), 0 black to 255 white.
GreyImage = npt.NDArray[np.uint8]
# uint8 of 0..255 or, where there are more than 8 bits, uint16 of 0..65535: black to white.
RecordedImage = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
# float32 (H, W), in [0, 1].
FloatImage = npt.NDArray[np.float32]
# float32 of any shape and range.
FloatArray = npt.NDArray[np.float32]
