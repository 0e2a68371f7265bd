"""Which networks the sfm stage needs."""

from collections.abc import Sequence
from pathlib import Path

from tasks.sfm.config import SfmConfig
from tasks.sfm.features.config import AutoFeatures
from tasks.sfm.features.files import FeatureWeights, aliked_is_installed, find_feature_weights


def weights_for(
    config: SfmConfig, folder: Path, roots: Sequence[Path] = ()
) -> FeatureWeights | None:
    """The weights of networks that a config uses; see
    :func:`tasks.sfm.features.files.find_feature_weights`.

    Returns:
        None where it uses none. Where features are 'auto' and ALIKED is not installed, those of
        SIFT.
    """
    features = config.features
    if isinstance(features, AutoFeatures):
        named = features.aliked.weights and features.aliked.matcher_weights
        if not named and not aliked_is_installed():
            features = features.sift
    return find_feature_weights(features, folder, roots)
