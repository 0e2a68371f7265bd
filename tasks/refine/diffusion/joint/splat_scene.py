"""A splat as the scene between views that are denoised together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from jaxtyping import Float32
from torch import Tensor

from tasks.cameras import Cameras
from tasks.gaussians import Gaussians
from tasks.refine.diffusion.joint.config import JointConfig
from tasks.runtime.context import Device
from tasks.splat.config import SplatConfig
from tasks.splat.densify.budget import most_gaussians
from tasks.splat.init.background import background_image
from tasks.splat.render import render
from tasks.splat.train.batches import photo_order
from tasks.splat.train.loss import prepare_target
from tasks.splat.train.trainer import Descent, Step, View, descend, scene_extent, views_of
from tasks.splat.training_photos import SizedPhotos


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SplatScene:
    """Gaussians, and the photos and places that they are fitted to; see :func:`splat_scene`."""

    gaussians: Gaussians
    photos: tuple[View, ...]
    places: Cameras
    background_images: tuple[Float32[Tensor, "_ _ 3"] | None, ...]
    """What each place sees of the backdrop, which does not move."""
    descent: Descent
    view_weight: float
    device: Device

    def fitted(self, images: Sequence[Float32[Tensor, "_ _ 3"]]) -> "SplatScene":
        """Goes on from these Gaussians; a photo is looked at before every image.

        Raises:
            MachineError: the optimisation diverged.
        """
        moved = descend(self.gaussians, self._steps(images), self.descent, device=self.device)
        # Another order next time: a fit is short, and would pass the same images over.
        descent = replace(self.descent, seed=self.descent.seed + 2)
        return replace(self, gaussians=moved.gaussians, descent=descent)

    def render(self) -> list[Float32[Tensor, "_ _ 3"]]:
        """From the places, in [0, 1], on the device."""
        return [
            render(self.gaussians, self.places, index, device=self.device).rgb.clamp(0, 1)
            for index in range(len(self.places))
        ]

    def _steps(self, images: Sequence[Tensor]) -> Iterator[Step]:
        degree = self.gaussians.sh_degree
        targets = [
            View(
                target=prepare_target(image.to(self.device).clamp(0, 1)),
                camera_from_world=self.places.camera_from_world[index],
                intrinsics=self.places.intrinsics[index],
                width=image.shape[1],
                height=image.shape[0],
                background_image=self.background_images[index],
            )
            for index, image in enumerate(images)
        ]
        seed = self.descent.seed
        turns = zip(
            photo_order(len(self.photos), seed), photo_order(len(targets), seed + 1), strict=True
        )
        for photo, target in turns:
            yield Step(views=(self.photos[photo],), sh_degree=degree)
            yield Step(views=(targets[target],), sh_degree=degree, weight=self.view_weight)


def splat_scene(
    gaussians: Gaussians,
    training: SizedPhotos,
    places: Cameras,
    splat_config: SplatConfig,
    config: JointConfig,
    *,
    device: Device = "cpu",
) -> SplatScene:
    """A splat that goes on from ``gaussians`` with its photos and what is drawn of some places.

    Args:
        training: the photos it was fitted to, at that size.
        places: where views are drawn, at least one.
        splat_config: how the splat was fitted; its loss is kept, Gaussians do not multiply.
    """
    background = gaussians.background
    return SplatScene(
        gaussians=gaussians,
        photos=tuple(
            views_of(
                training.photos,
                training.cameras,
                weights=training.weights,
                background=background,
                device=device,
            )
        ),
        places=places,
        background_images=tuple(
            background_image(background, places, index, device) for index in range(len(places))
        ),
        descent=Descent(
            iterations=config.fit_iterations,
            extent=scene_extent(training.cameras),
            densify=None,
            most_gaussians=most_gaussians(splat_config),
            ssim_weight=splat_config.ssim_weight,
            opacity_weight=splat_config.opacity_weight,
            scale_weight=splat_config.scale_weight,
            max_relative_scale=splat_config.max_relative_scale,
            centres=training.cameras.centres,
            sparse=splat_config.sparse,
            packed=splat_config.packed,
            seed=config.seed,
        ),
        view_weight=config.view_weight,
        device=device,
    )
