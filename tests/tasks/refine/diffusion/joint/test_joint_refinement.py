"""Views drawn jointly, from stored artefacts to the artefact that distillation reads."""

from pathlib import Path

import numpy as np
import pytest
import torch

from storage.handles import ArrayHandle
from storage.store import Store
from tasks.refine.artefact import RefinedViews
from tasks.refine.config import ControlNet, FeaturesConfig, GateConfig, RefineConfig
from tasks.refine.diffusion.config import SmallModel
from tasks.refine.diffusion.joint.config import JointConfig
from tasks.refine.diffusion.small import new_small, small_checkpoint
from tasks.refine.diffusion.training_config import SmallShape
from tasks.refine.run import run, run_joint
from tasks.refine.weights import find_weights
from tasks.runtime.context import Context
from tasks.sfm.artefact import Sparse
from tasks.sfm.artefact import arrays_of as arrays_of_sparse
from tasks.sfm.artefact import attributes_of as attributes_of_sparse
from tasks.sfm.reconstruct import Reconstruction
from tasks.sfm.triangulate import Observations
from tasks.sfm.world_frame import unchanged
from tasks.splat.artefact import arrays_of, attributes_of
from tasks.splat.config import SplatConfig, TrainOn
from tasks.splat.fit import fit
from tasks.splat.training_photos import posed_photos
from tasks.views.artefact import NovelViews, write_views
from tasks.views.config import ViewsConfig
from tasks.views.novel_views import novel_views
from tasks.views.renderer import prepare
from tests.support.painted_plane import WIDTH, photograph

SPLAT = SplatConfig(iterations=40, max_size=WIDTH, sh_every=20)
VIEWS = ViewsConfig(count=3, beyond=False)
TRAINING = ("0.png", "3.png", "7.png")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(root=str(tmp_path / "store"))


@pytest.fixture
def made(store: Store) -> tuple[ArrayHandle, ArrayHandle, ArrayHandle]:
    """A painted plane as the stages before leave it: cameras, splat, novel views."""
    seen = photograph()
    found = Reconstruction(
        cameras=seen.cameras,
        points=np.zeros((0, 3)),
        observations=Observations(
            point_index=np.zeros(0, np.int32),
            photo_index=np.zeros(0, np.int32),
            xy=np.zeros((0, 2), np.float32),
        ),
        matches=seen.matches,
        photos=seen.photos,
        masks=[None] * len(seen.photos),
        unregistered=(),
        poses="given",
        reprojection_error_px=0.0,
        model_sizes=(len(seen.photos),),
        localised=(),
        sure=np.ones(len(seen.photos), bool),
        confidence=np.ones(len(seen.photos), np.float32),
        left_out={},
        rungs=(),
        pairing="exhaustive",
        matched_pairs=0,
        frame=unchanged("given"),
        gps_origin=None,
    )
    sparse = store.commit("plane", "sparse", arrays_of_sparse(found), attributes_of_sparse(found))
    stored, split = Sparse(sparse), TrainOn(photos=TRAINING, validation=0)
    fitted = fit(posed_photos(sparse), split, SPLAT)
    splat = store.commit("plane", "splat", arrays_of(fitted.fitted), attributes_of(fitted))
    renderer = prepare(
        fitted.fitted.gaussians,
        stored.cameras.select(stored.cameras.indices_of(TRAINING)),
        [stored.photo(name) for name in TRAINING],
        longest_edge=WIDTH,
    )
    with store.writer("plane", "views") as out:
        views = out.commit(write_views(out, novel_views(renderer, VIEWS)))
    return sparse, splat, views


def test_jointly_refined_views_are_stored_as_distillation_reads_them(
    tmp_path: Path, store: Store, made: tuple[ArrayHandle, ArrayHandle, ArrayHandle]
) -> None:
    sparse, splat, views = made
    shape = SmallShape(widths=(8, 16), features=FeaturesConfig(photos=2))
    small = new_small(shape, seed=1)
    torch.nn.init.constant_(small.unet.conv_out.bias, 0.2)
    (tmp_path / "small.safetensors").write_bytes(small_checkpoint(small, data="none"))
    weights = SmallModel(file="small.safetensors")
    sync = JointConfig(steps=3, fit_iterations=4)
    alone = RefineConfig(refiner=ControlNet(weights=weights, gate=None))
    joint = RefineConfig(refiner=ControlNet(weights=weights, gate=None, joint=sync))
    gate = GateConfig(least=0.99, full=1.0)
    gated = RefineConfig(refiner=ControlNet(weights=weights, gate=gate, joint=sync))
    found = find_weights(tmp_path, joint)

    def refine(config: RefineConfig) -> ArrayHandle:
        with store.writer("plane", "refined") as out:
            if config.joint is None:
                return run(
                    out,
                    Context(),
                    sparse=sparse,
                    views=views,
                    ensemble=(),
                    views_config=VIEWS,
                    weights=found,
                    config=config,
                )
            return run_joint(
                out,
                Context(),
                sparse=sparse,
                splat=splat,
                views=views,
                splat_config=SPLAT,
                weights=found,
                config=config,
            )

    one_by_one, drawn = RefinedViews(refine(alone)), RefinedViews(refine(joint))

    seen = NovelViews(views)
    assert drawn.names == one_by_one.names == seen.cameras.names
    assert drawn.rejected == ()
    for index in range(len(seen)):
        view = seen.view(index)
        # What the render shows surely stays, and only the rest is trusted.
        np.testing.assert_allclose(drawn.weight(index), 1 - view.confidence, atol=1 / 255)
        change = np.abs(drawn.image(index) - view.rgb).max(2)
        assert (change <= 1 - view.confidence + 2 / 255).all()
        assert not np.array_equal(drawn.image(index), one_by_one.image(index))
    refused = RefinedViews(refine(gated))
    assert refused.rejected == seen.cameras.names
    np.testing.assert_allclose(refused.image(0), seen.view(0).rgb, atol=1e-6)
