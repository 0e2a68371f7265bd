"""Training pairs through the store: precision, and the scene of each pair."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.handles import ArrayHandle
from storage.store import Store
from tasks.refine.refiner import ViewBatch
from tasks.refine.training.pairs.artefact import StoredPairs, digest_of, write_pairs
from tasks.refine.training.pairs.mine import Mined
from tasks.refine.training.pairs.pair import Pair
from tests.support.view_batches import HEIGHT, WIDTH, a_batch, noise

LEVEL = 0.5 / 255 + 1e-6


def photo(seed: int) -> torch.Tensor:
    return torch.round(255 * noise(HEIGHT, WIDTH, 3, seed=seed)) / 255


def views(seed: int, photos: int = 3) -> ViewBatch:
    plane, image = (1, HEIGHT, WIDTH), (1, HEIGHT, WIDTH, 3)
    return ViewBatch(
        render=noise(*image, seed=seed),
        depth=0.3 + 7 * noise(*plane, seed=seed + 1),
        alpha=noise(*plane, seed=seed + 2),
        confidence=noise(*plane, seed=seed + 3),
        warped=noise(*image, seed=seed + 4),
        warped_valid=noise(*plane, seed=seed + 5),
        nearest=photo(1)[None],
        swept_depth=0.3 + 7 * noise(*plane, seed=seed + 6),
        swept_cost=noise(*plane, seed=seed + 7) ** 3,
        swept=noise(1, photos, HEIGHT, WIDTH, 3, seed=seed + 8),
        swept_valid=(noise(1, photos, HEIGHT, WIDTH, seed=seed + 9) > 0.4).float(),
        surface_gap=noise(*plane, seed=seed + 10) ** 4,
        surface_error=noise(*plane, seed=seed + 11) ** 2,
    )


def mined(
    seen: ViewBatch, target: int = 2, counts: torch.Tensor | None = None, **more: str
) -> Mined:
    counts = torch.ones(HEIGHT, WIDTH) if counts is None else counts
    return Mined(
        pair=Pair(views=seen, target=photo(target), counts=counts),
        **({"view": f"{target}.jpg", "nearest": "1.jpg"} | more),
        training=("1.jpg", "3.jpg"),
        iterations=500,
        noisy=False,
        seen=0.75,
    )


def stored(folder: Path, scene: str, *some: Mined) -> ArrayHandle:
    with Store(root=str(folder)).writer(scene, "pairs") as out:
        return out.commit(write_pairs(out, scene, some))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10)
@given(seed=st.integers(0, 10**6), photos=st.integers(1, 8), unit=st.sampled_from([1e-4, 1.0, 1e5]))
def test_a_pair_is_read_back_within_quantisation_bounds(
    tmp_path: Path, seed: int, photos: int, unit: float
) -> None:
    made = views(seed, photos)
    made = replace(made, depth=unit * made.depth, swept_depth=unit * made.swept_depth)
    found = StoredPairs([stored(tmp_path, "hall", mined(made))])[0]
    for name in ("render", "alpha", "confidence", "warped", "warped_valid", "swept"):
        one, other = getattr(found.views, name), getattr(made, name)
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=0, atol=LEVEL, err_msg=name)
    for name in ("swept_cost", "surface_gap", "surface_error"):
        one, other = getattr(found.views, name).numpy(), getattr(made, name).numpy()
        assert (np.abs(one - other) <= 0.004 * np.sqrt(other) + LEVEL**2).all(), name
    for name in ("depth", "swept_depth"):
        one, other = getattr(found.views, name), getattr(made, name)
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=2**-11 + 1e-6, err_msg=name)
    assert torch.equal(found.views.swept_valid, made.swept_valid)
    assert torch.equal(found.views.nearest, made.nearest)
    assert torch.equal(found.target, photo(2))
    assert bool((found.counts == 1).all())


def test_zeros_and_ones_are_stored_exactly(tmp_path: Path) -> None:
    made = a_batch(
        alpha=torch.zeros(1, HEIGHT, WIDTH),
        swept_cost=torch.ones(1, HEIGHT, WIDTH),
        nearest=photo(1)[None],
    )
    found = StoredPairs([stored(tmp_path, "hall", mined(made))])[0].views
    for name in ("alpha", "swept_cost", "surface_gap", "surface_error", "warped_valid", "depth"):
        assert torch.equal(getattr(found, name), getattr(made, name)), name


def test_pairs_of_several_scenes_are_concatenated(tmp_path: Path) -> None:
    hall = stored(tmp_path, "hall", *(mined(views(seed)) for seed in (0, 20)))
    attic = stored(tmp_path, "attic", *(mined(views(seed), target=3) for seed in (40, 60, 80)))
    pairs = StoredPairs([hall, attic])
    assert len(pairs) == 5
    assert pairs.scenes == ("hall", "hall", "attic", "attic", "attic")
    for index, seed in enumerate((0, 20, 40, 60, 80)):
        np.testing.assert_allclose(
            pairs[index].views.render.numpy(), views(seed).render.numpy(), atol=LEVEL
        )
    assert torch.equal(pairs[-1].views.render, pairs[4].views.render)
    with pytest.raises(IndexError):
        pairs[5]
    assert len(StoredPairs([])) == 0


def test_a_photo_is_stored_once_and_its_mask_with_it(tmp_path: Path) -> None:
    counts = torch.ones(HEIGHT, WIDTH)
    counts[:5] = 0
    # Photo 1 is the nearest of all, and then a target that has a mask.
    handle = stored(
        tmp_path,
        "hall",
        mined(views(0)),
        mined(views(20)),
        mined(views(40), target=1, counts=counts, nearest="2.jpg"),
    )
    names = {path.name for path in Path(handle.uri).iterdir() if path.is_dir()}
    assert {name for name in names if name.startswith("photo")} == {"photo_0000", "photo_0001"}
    assert {name for name in names if name.startswith("mask")} == {"mask_0001"}
    pairs = StoredPairs([handle])
    assert torch.equal(pairs[2].counts, counts)
    assert torch.equal(pairs[2].target, photo(1))
    assert bool((pairs[0].counts == 1).all())


def test_equal_pairs_have_equal_digests_and_attributes_describe_them(tmp_path: Path) -> None:
    one = stored(tmp_path / "a", "hall", mined(views(0)))
    assert one.digest == stored(tmp_path / "b", "hall", mined(views(0))).digest
    (row,) = one.attributes["pairs"]
    assert row["training"] == ["1.jpg", "3.jpg"]
    assert (row["view"], row["nearest"], row["iterations"]) == ("2.jpg", "1.jpg", 500)
    other = stored(tmp_path, "attic", mined(views(20)))
    assert digest_of([one, other]) == digest_of([other, one]) != digest_of([one])
