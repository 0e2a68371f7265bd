"""Batches of made-up views."""

from dataclasses import fields, replace

import torch

from tasks.refine.refiner import ViewBatch

HEIGHT, WIDTH = 40, 56


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def a_batch(count: int = 1, photos: int = 3, **changes: torch.Tensor) -> ViewBatch:
    """Photos that agree on a textured truth, at the surface of a splat that shows it as grey.

    Fields are changed by name.
    """
    truth = 0.25 + 0.5 * noise(count, HEIGHT, WIDTH, 3)
    flat = torch.ones(count, HEIGHT, WIDTH)
    batch = ViewBatch(
        render=torch.full_like(truth, 0.5),
        depth=3 * flat,
        alpha=flat,
        confidence=0.3 * flat,
        warped=truth,
        warped_valid=flat,
        nearest=truth,
        swept_depth=3 * flat,
        swept_cost=0 * flat,
        swept=truth[:, None].expand(-1, photos, -1, -1, -1).clone(),
        swept_valid=torch.ones(count, photos, HEIGHT, WIDTH),
        surface_gap=0 * flat,
        surface_error=flat,
    )
    return replace(batch, **changes)


def cropped(views: ViewBatch, height: int, width: int) -> ViewBatch:
    """The upper left of all."""

    def cut(name: str) -> torch.Tensor:
        coloured = name in ("render", "warped", "nearest", "swept")
        rows = (..., slice(height), slice(width))
        return getattr(views, name)[(*rows, slice(None)) if coloured else rows]

    return ViewBatch(**{field.name: cut(field.name) for field in fields(views)})


def one_by_one(views: ViewBatch) -> list[ViewBatch]:
    return [
        ViewBatch(
            **{field.name: getattr(views, field.name)[index : index + 1] for field in fields(views)}
        )
        for index in range(len(views.depth))
    ]
