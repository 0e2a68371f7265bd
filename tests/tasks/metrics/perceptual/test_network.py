"""Perceptual distances, against the formula in double precision with numpy, and against the code
of the distributions that the weights come from."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from tasks.metrics.perceptual.files import INSTALL, Backbone, find_perceptual_weights
from tasks.metrics.perceptual.load import lpips_network, perceptual_distances, st_lpips_network
from tasks.metrics.perceptual.network import PerceptualNetwork, distance_to

CHANNELS: dict[Backbone, Sequence[tuple[int, ...]]] = {
    "alex": ((64,), (192,), (384,), (256,), (256,)),
    "vgg": ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3),
}
"""Of the convolutions of each block."""
WINDOWS = {"alex": (11, 5, 3, 3, 3), "vgg": (3,) * 5}
TORCHVISION = {
    "alex": (0, 3, 6, 8, 10),
    "vgg": (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
}
"""Numbers of the convolutions in torchvision's networks."""


def random_trunk(backbone: Backbone) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    found, channels, number = {}, 3, iter(TORCHVISION[backbone])
    for block, width in zip(CHANNELS[backbone], WINDOWS[backbone], strict=True):
        for made in block:
            size = (made, channels, width, width)
            name = f"features.{next(number)}"
            scale = (2 / (channels * width**2)) ** 0.5
            found[f"{name}.weight"] = scale * torch.randn(size, generator=generator)
            found[f"{name}.bias"] = 0.1 * torch.randn(made, generator=generator)
            channels = made
    return found


def random_linear(backbone: Backbone) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(2)
    return {
        f"lin{number}.model.1.weight": torch.rand((1, block[-1], 1, 1), generator=generator)
        for number, block in enumerate(CHANNELS[backbone])
    }


def network(backbone: Backbone, *, tolerant: bool) -> PerceptualNetwork:
    trunk, linear = random_trunk(backbone), random_linear(backbone)
    if not tolerant:
        return lpips_network(backbone, trunk, linear)
    renamed = {f"net.slice1.{name.removeprefix('features.')}": v for name, v in trunk.items()}
    return st_lpips_network(backbone, renamed | linear)


def picture(seed: int, height: int = 48, width: int = 56) -> np.ndarray:
    """Soft and sharp structures of several sizes."""
    random = np.random.default_rng(seed)
    found = np.zeros((height, width, 3))
    for sigma in (1, 3, 8):
        layer = gaussian_filter(random.standard_normal(found.shape), (sigma, sigma, 0))
        found += layer / layer.std()
    found[10:30, 12:20] += 2.0
    return (0.5 + np.clip(found, -3, 3) / 6).astype(np.float32)


# The formula once more, in numpy.


def windows(image: np.ndarray, width: int, stride: int) -> np.ndarray:
    return sliding_window_view(image, (width, width), axis=(1, 2))[:, ::stride, ::stride]


def convolved(image: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int) -> np.ndarray:
    width = weight.shape[-1]
    border = 2 if width == 11 else width // 2
    padded = np.pad(image, ((0, 0), (border, border), (border, border)))
    seen = windows(padded, width, stride)
    return np.tensordot(weight, seen, ((1, 2, 3), (0, 3, 4))) + bias[:, None, None]


def blurred(image: np.ndarray) -> np.ndarray:
    mirrored = np.pad(image, ((0, 0), (2, 2), (2, 2)), mode="reflect")
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16
    return np.einsum("chwij,ij->chw", windows(mirrored, 3, 2), kernel)


def expected_features(
    image: np.ndarray, backbone: Backbone, trunk: Mapping[str, Tensor], *, tolerant: bool
) -> Iterator[np.ndarray]:
    mean = np.array([0.485, 0.456, 0.406])  # of ImageNet; the networks round it
    shift, scale = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])
    assert np.abs((1 + shift) / 2 - mean).max() < 0.001
    x = ((2 * image.astype(np.float64) - 1 - shift) / scale).transpose(2, 0, 1)
    weights = [v.double().numpy() for v in trunk.values()]
    pooled = (1, 2) if backbone == "alex" else (1, 2, 3, 4)
    for number, block in enumerate(CHANNELS[backbone]):
        if number in pooled:
            width = 3 if backbone == "alex" else 2
            x = windows(x, width, 1 if tolerant else 2).max((3, 4))
            x = blurred(x) if tolerant else x
        for _ in block:
            weight, bias, *weights = weights
            first = weight.shape[-1] == 11
            x = convolved(x, weight, bias, 4 if first and not tolerant else 1)
            x = np.maximum(blurred(x) if first and tolerant else x, 0)
        yield x / np.linalg.norm(x, axis=0)


def expected_distance(
    one: np.ndarray, other: np.ndarray, backbone: Backbone, *, tolerant: bool
) -> float:
    trunk, linear = random_trunk(backbone), random_linear(backbone)
    total = 0.0
    features = [expected_features(i, backbone, trunk, tolerant=tolerant) for i in (one, other)]
    for a, b, weight in zip(*features, linear.values(), strict=True):
        total += np.einsum("c,chw->hw", weight.double().numpy().ravel(), (a - b) ** 2).mean()
    return total


@pytest.mark.parametrize("tolerant", [False, True])
@pytest.mark.parametrize("backbone", ["alex", "vgg"])
def test_the_distance_is_that_of_the_formula_in_double_precision(
    backbone: Backbone, tolerant: bool
) -> None:
    one, other = picture(0), picture(1)
    found = distance_to(network(backbone, tolerant=tolerant), one)(other)
    expected = expected_distance(one, other, backbone, tolerant=tolerant)
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("tolerant", [False, True])
def test_equal_pictures_have_no_distance_and_the_order_does_not_matter(tolerant: bool) -> None:
    used = network("alex", tolerant=tolerant)
    one, other = picture(0), picture(1)
    assert distance_to(used, one)(one) == 0
    assert distance_to(used, one)(other) == pytest.approx(distance_to(used, other)(one), rel=1e-5)


def test_masked_pixels_change_nothing_and_the_others_have_all_the_weight() -> None:
    used = network("alex", tolerant=True)
    photo, shown = picture(0, 64, 96), picture(1, 64, 96)
    use = np.zeros((64, 96), dtype=bool)
    use[:, :48] = True
    ruined = shown.copy()
    ruined[~use] = 0
    masked = distance_to(used, photo, use)
    assert masked(ruined) == masked(shown)
    assert masked(photo) == 0
    whole = distance_to(used, photo)(shown)
    assert distance_to(used, photo, np.ones_like(use))(shown) == pytest.approx(whole, rel=1e-5)
    # Half as many pixels that differ as much: a mean over all of them would be half as large.
    assert 0.7 * whole < masked(shown) < 1.2 * whole


def test_where_no_pixel_counts_or_the_picture_is_tiny_there_is_no_distance() -> None:
    used = network("alex", tolerant=True)
    nowhere = np.zeros((48, 56), dtype=bool)
    assert distance_to(used, picture(0), nowhere)(picture(1)) is None
    assert distance_to(used, picture(0, 31, 90))(picture(1, 31, 90)) is None
    for backbone in ("alex", "vgg"):
        for tolerant in (False, True):
            smallest = distance_to(network(backbone, tolerant=tolerant), picture(0, 32, 32))
            found = smallest(picture(1, 32, 32))
            assert found is not None
            assert found > 0


def test_large_photos_are_compared_at_a_smaller_size() -> None:
    used = network("alex", tolerant=False)
    enlarged = [np.kron(picture(seed, 64, 1024), np.ones((2, 2, 1))) for seed in (0, 1)]
    large = distance_to(used, enlarged[0].astype(np.float32))(enlarged[1].astype(np.float32))
    assert large == pytest.approx(
        distance_to(used, picture(0, 64, 1024))(picture(1, 64, 1024)), rel=0.05
    )


# With the true weights.


@pytest.fixture(params=["alex", "vgg"])
def backbone(request: pytest.FixtureRequest) -> Backbone:
    if find_perceptual_weights(request.param).st_lpips is None:
        pytest.skip(INSTALL)
    return request.param


class Anything(ModuleType):
    """A module that has whatever is imported from it, and does nothing."""

    __path__: Sequence[str] = ()

    def __getattr__(self, name: str) -> object:
        return lambda *args, **kwargs: None


@pytest.fixture
def no_torchvision(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """What the distributions import beside torch, without effect; they are forgotten after it."""
    for name in ("IPython", "torchsummary", "torchvision", "skimage.color", "cv2", "tqdm"):
        monkeypatch.setitem(sys.modules, name, Anything(name))
    models = Anything("torchvision.models")
    monkeypatch.setattr(sys.modules["torchvision"], "models", models, raising=False)
    monkeypatch.setitem(sys.modules, "torchvision.models", models)
    yield models
    for name in [
        name for name in sys.modules if name.split(".")[0] in ("lpips", "stlpips_pytorch")
    ]:
        del sys.modules[name]


def as_tensor(image: np.ndarray) -> Tensor:
    return torch.from_numpy(2 * image - 1).permute(2, 0, 1)[None]


def test_st_lpips_agrees_with_the_code_of_its_authors(
    backbone: Backbone, no_torchvision: ModuleType
) -> None:
    from stlpips_pytorch import stlpips  # type: ignore[import-not-found]

    theirs = stlpips.LPIPS(net=backbone, variant="shift_tolerant", verbose=False)
    ours = perceptual_distances(find_perceptual_weights(backbone))["st_lpips"]
    for height, width in ((48, 64), (75, 61)):
        one, other = picture(0, height, width), picture(1, height, width)
        with torch.inference_mode():
            expected = float(theirs(as_tensor(one), as_tensor(other)))
        assert ours(one, None)(other) == pytest.approx(expected, rel=1e-5)


def test_lpips_agrees_with_the_code_of_its_authors(
    backbone: Backbone, no_torchvision: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    trunk = random_trunk(backbone)
    features = torchvision_features(backbone)
    features.load_state_dict({name.removeprefix("features."): v for name, v in trunk.items()})
    model = Anything("network")
    model.features = features  # type: ignore[attr-defined]
    name = "alexnet" if backbone == "alex" else "vgg16"
    monkeypatch.setattr(no_torchvision, name, lambda pretrained: model, raising=False)
    import lpips  # type: ignore[import-not-found]

    theirs = lpips.LPIPS(net=backbone, verbose=False)
    linear = {name: v for name, v in theirs.state_dict().items() if name.startswith("lin")}
    one, other = picture(0, 75, 91), picture(1, 75, 91)
    with torch.inference_mode():
        expected = float(theirs(as_tensor(one), as_tensor(other)))
    found = distance_to(lpips_network(backbone, trunk, linear), one)(other)
    assert found == pytest.approx(expected, rel=1e-5)


def torchvision_features(backbone: Backbone) -> nn.Sequential:
    """The layers of AlexNet (Krizhevsky 2014) and VGG-16, numbered as torchvision does."""
    layers: list[nn.Module] = []
    channels = 3
    for number, block in enumerate(CHANNELS[backbone]):
        if number in ((1, 2) if backbone == "alex" else (1, 2, 3, 4)):
            layers.append(nn.MaxPool2d(3 if backbone == "alex" else 2, stride=2))
        for made in block:
            width = WINDOWS[backbone][number]
            first = width == 11
            layers += [
                nn.Conv2d(channels, made, width, 4 if first else 1, 2 if first else width // 2),
                nn.ReLU(),
            ]
            channels = made
    return nn.Sequential(*layers)


def test_more_blur_and_more_noise_are_farther_away(backbone: Backbone) -> None:
    photo = picture(0, 64, 80)
    distance = perceptual_distances(find_perceptual_weights(backbone))["st_lpips"](photo, None)
    noise = np.random.default_rng(0).standard_normal(photo.shape).astype(np.float32)
    blurs = [distance(gaussian_filter(photo, (s, s, 0))) for s in (0, 0.7, 1.4, 2.8, 5.6)]
    noises = [distance(np.clip(photo + s * noise, 0, 1)) for s in (0, 0.02, 0.05, 0.1, 0.2)]
    for found in (blurs, noises):
        assert found[0] == 0
        assert all(np.diff(np.array(found, dtype=float)) > 0)


def test_a_shift_by_a_pixel_counts_less_than_a_slight_blur(backbone: Backbone) -> None:
    large = picture(0, 65, 81)
    photo, shifted = large[1:, 1:], np.ascontiguousarray(large[:-1, :-1])
    distance = perceptual_distances(find_perceptual_weights(backbone))["st_lpips"]
    to_photo = distance(np.ascontiguousarray(photo), None)
    moved, blurry = to_photo(shifted), to_photo(gaussian_filter(photo, (1, 1, 0)))
    assert moved is not None
    assert blurry is not None
    assert moved < 0.5 * blurry
    # Pixel by pixel it is the other way round.
    assert np.mean((shifted - photo) ** 2) > np.mean(
        (gaussian_filter(photo, (1, 1, 0)) - photo) ** 2
    )
