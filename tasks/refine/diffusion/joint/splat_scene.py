"""A splat as the scene that jointly denoised views share."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from jaxtyping import Float32
from torch import Tensor

from tasks.cameras import Cameras
from tasks.gaussians import Gaussians
from tasks.refine.diffusion.joint.config import JointConfig
from tasks.runtime.context import Context, Device
from tasks.splat.config import SplatConfig
from tasks.splat.init.background import background_image
from tasks.splat.render import render
from tasks.splat.train.batches import photo_order
from tasks.splat.train.loss import prepare_target
from tasks.splat.train.settings import TrainSettings, settings_for
from tasks.splat.train.targets import Batch, TrainingView, photo_views, training_view
from tasks.splat.train.trainer import train
from tasks.splat.training_photos import SizedPhotos


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SplatScene:
    """Gaussians, and the photos and places that they are fitted to; see :func:`splat_scene`."""

    gaussians: Gaussians
    photos: tuple[TrainingView, ...]
    places: Cameras
    background_images: tuple[Float32[Tensor, "_ _ 3"] | None, ...]
    """Render of the background for each place; it never changes."""
    settings: TrainSettings
    view_weight: float
    device: Device

    def fitted(self, images: Sequence[Float32[Tensor, "_ _ 3"]]) -> "SplatScene":
        """The scene after a fit to images of the places; a photo precedes every image.

        Raises:
            DivergedError: the optimisation diverged.
        """
        context = Context(device=self.device)
        moved = train(self.gaussians, self._batches(images), self.settings, context=context)
        # Another order next time: a fit is short, and would skip the same images again.
        settings = replace(self.settings, seed=self.settings.seed + 2)
        return replace(self, gaussians=moved.gaussians, settings=settings)

    def render(self) -> list[Float32[Tensor, "_ _ 3"]]:
        """Renders of the places, in [0, 1], on the device."""
        return [
            render(self.gaussians, self.places, index, device=self.device).rgb.clamp(0, 1)
            for index in range(len(self.places))
        ]

    def _batches(self, images: Sequence[Tensor]) -> Iterator[Batch]:
        degree = self.gaussians.sh_degree
        targets = [
            training_view(
                prepare_target(image.to(self.device).clamp(0, 1)),
                self.places,
                index,
                background_image=self.background_images[index],
            )
            for index, image in enumerate(images)
        ]
        seed = self.settings.seed
        turns = zip(
            photo_order(len(self.photos), seed), photo_order(len(targets), seed + 1), strict=True
        )
        for photo, target in turns:
            yield Batch(views=(self.photos[photo],), sh_degree=degree)
            yield Batch(views=(targets[target],), sh_degree=degree, weight=self.view_weight)


def splat_scene(
    gaussians: Gaussians,
    training: SizedPhotos,
    places: Cameras,
    splat_config: SplatConfig,
    config: JointConfig,
    *,
    context: Context = Context(),
) -> SplatScene:
    """A splat that is trained on with its photos and the views that are drawn of some places.

    Args:
        training: the photos it was fitted to, at that size.
        places: cameras of the views, at least one.
        splat_config: of that fit; its loss is kept, the number of Gaussians too.
    """
    background, device = gaussians.background, context.device
    return SplatScene(
        gaussians=gaussians,
        photos=tuple(photo_views(training, background=background, device=device)),
        places=places,
        background_images=tuple(
            background_image(background, places, index, device) for index in range(len(places))
        ),
        settings=settings_for(
            splat_config,
            training.cameras,
            iterations=config.fit_iterations,
            densify=None,
            seed=config.seed,
        ),
        view_weight=config.view_weight,
        device=device,
    )
