"""The configured feature network of the content loss.

J. Johnson et al., "Perceptual Losses", ECCV 2016. Cut at stride 16, deep enough to see structure,
shallow enough for 96-pixel training crops.
"""

from urllib.error import URLError

from srpipe.core import paths
from srpipe.core.errors import CheckpointError, DownloadError
from srpipe.core.files import sha256
from srpipe.core.torch_file import load
from srpipe.metrics.features import ContentFeatures, ContentRecord, efficientnet_lite0_features
from srpipe.settings.train import Content

MOBILENET_BLOCKS = 14


def load_content(settings: Content) -> ContentFeatures:
    """Build the configured network with ImageNet weights.

    Raises:
        DownloadError: torchvision's weights could not be fetched.
        CheckpointError: the weights file does not exist or is not MobileNetV2's.
    """
    if settings.network == "efficientnet_lite0":
        return efficientnet_lite0_features()
    return _mobilenet_v2(settings.weights)


def _mobilenet_v2(weights_file: str | None) -> ContentFeatures:
    # Imported here: torchvision is slow to load and the default network does not need it.
    from torchvision.models import MobileNet_V2_Weights, mobilenet_v2

    weights = MobileNet_V2_Weights.IMAGENET1K_V1
    network = mobilenet_v2()
    if weights_file is None:
        try:
            state = weights.get_state_dict(progress=True, check_hash=True)
        except (URLError, OSError, RuntimeError) as error:
            raise DownloadError(
                f"torchvision could not fetch the MobileNetV2 weights ({error}). Give a file with "
                "train.adversarial.content.weights, or set train.adversarial.content.network: "
                "efficientnet_lite0, whose weights are installed already."
            ) from error
        used = f"torchvision {weights}"
    else:
        path = paths.from_user(weights_file)
        state = load(path)
        used = f"file {path.name}, SHA-256 {sha256(path)}"
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError) as error:
        raise CheckpointError(
            f"train.adversarial.content.weights: {weights_file} is not torchvision's MobileNetV2: "
            f"{error}"
        ) from error
    transform = weights.transforms()
    record = ContentRecord("mobilenet_v2", f"features[:{MOBILENET_BLOCKS}]", used)
    return ContentFeatures(
        network.features[:MOBILENET_BLOCKS], tuple(transform.mean), tuple(transform.std), record
    )
