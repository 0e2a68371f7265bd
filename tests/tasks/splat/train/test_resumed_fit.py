"""A fit resumed from a stored checkpoint ends with the bits of an uninterrupted one."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.checkpoints import Checkpoint
from storage.errors import IntegrityError, UnseenError
from storage.store import Store
from tasks.errors import DivergedError, InputError
from tasks.runtime import checkpoints as module
from tasks.runtime.checkpoints import (
    NO_CHECKPOINTS,
    Checkpoints,
    StoredCheckpoints,
    checkpoints_in,
    read_state,
    write_state,
)
from tasks.runtime.context import Context, Progress, no_progress
from tasks.splat.config import Absgrad, Default, EveryNth, Mcmc, SplatConfig
from tasks.splat.fit import INITIALISING, Splat, fit
from tasks.splat.init.initialise import Initialisation
from tasks.splat.train.state import TrainState
from tasks.splat.train.trainer import optimise
from tasks.splat.training_photos import PosedPhotos, SizedPhotos
from tests.support.cut_off import CutOffError, cut_off
from tests.support.painted_plane import photograph

SPLIT = EveryNth(n=4, offset=1, validation=1)
GROWING = SplatConfig(
    iterations=160,
    sh_every=80,
    densify=Default(start=50, every=50, stop_share=0.8),
    sh_degree=1,
    seed=3,
)
"""Half size until 56; grows in the iteration with index 100."""
STEADY = GROWING.model_copy(update={"densify": Default(stop_share=0)})


def place_in(store: Store, key: str = "splat-1") -> Checkpoint:
    return Checkpoint(store=store, key=key)


def after_the_sweep(told: list[tuple[float, str]]) -> list[tuple[float, str]]:
    return [(share, doing) for share, doing in told if not doing.startswith("depth of")]


def assert_same(one: Splat, other: Splat) -> None:
    for name in ("means", "quats", "log_scales", "logit_opacities", "sh"):
        ours, theirs = (getattr(splat.fitted.gaussians, name) for splat in (one, other))
        assert torch.equal(ours, theirs), name
    for name in ("iteration", "loss", "gaussians", "score"):
        ours, theirs = (getattr(splat.fitted.curve, name) for splat in (one, other))
        np.testing.assert_array_equal(ours, theirs)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(root=str(tmp_path / "store"))


@pytest.fixture(scope="module")
def scene() -> PosedPhotos:
    return photograph()


@pytest.fixture(scope="module")
def fitted(scene: PosedPhotos) -> Callable[..., Splat]:
    def run(
        config: SplatConfig,
        checkpoints: Checkpoints = NO_CHECKPOINTS,
        progress: Progress = no_progress,
    ) -> Splat:
        return fit(
            scene,
            SPLIT,
            config,
            context=Context(progress=progress, checkpoints=checkpoints),
        )

    return run


@pytest.fixture(scope="module")
def whole(fitted: Callable[..., Splat]) -> dict[SplatConfig, Splat]:
    """Fits without a break, by their config."""
    return {config: fitted(config) for config in (GROWING, STEADY)}


def test_only_the_growing_config_adds_gaussians(whole: dict[SplatConfig, Splat]) -> None:
    grown, steady = whole[GROWING].fitted.curve.gaussians, whole[STEADY].fitted.curve.gaussians
    assert grown[1] < grown[2]  # between the iterations 100 and 150
    assert len(set(steady.tolist())) == 1


@pytest.mark.parametrize("iteration", [1, 55, 80, 100, 101, 102, 130, 160])
def test_a_resumed_fit_ends_with_the_same_bits(
    store: Store,
    fitted: Callable[..., Splat],
    whole: dict[SplatConfig, Splat],
    iteration: int,
) -> None:
    cut_off(lambda checkpoints: fitted(GROWING, checkpoints), place_in(store), iteration)
    torch.manual_seed(iteration)  # of no consequence
    rest = StoredCheckpoints(place=place_in(store), seconds=1000.0)
    told: list[tuple[float, str]] = []

    again = fitted(GROWING, rest, progress=lambda *what: told.append(what))

    assert_same(again, whole[GROWING])
    assert rest.note == f"resumed at iteration {iteration}"
    told = after_the_sweep(told)
    assert told[0] == (
        pytest.approx(INITIALISING + (1 - INITIALISING) * iteration / 160),
        rest.note,
    )
    assert all(rest.note in doing for _, doing in told)


def test_a_resumed_fit_without_growth_ends_with_the_same_bits(
    store: Store, fitted: Callable[..., Splat], whole: dict[SplatConfig, Splat]
) -> None:
    cut_off(lambda checkpoints: fitted(STEADY, checkpoints), place_in(store), 70)
    again = fitted(STEADY, StoredCheckpoints(place=place_in(store), seconds=1000.0))
    assert_same(again, whole[STEADY])


@pytest.mark.parametrize(
    "densify",
    [
        Absgrad(start=50, every=50, stop_share=0.8, gradient=4e-4),
        Mcmc(start=20, every=20, stop_share=0.8),
    ],
    ids=lambda densify: densify.kind,
)
def test_a_resumed_fit_with_any_densification_ends_with_the_same_bits(
    store: Store, fitted: Callable[..., Splat], densify: Absgrad | Mcmc
) -> None:
    config = GROWING.model_copy(update={"densify": densify})
    whole = fitted(config)
    assert whole.fitted.curve.gaussians[-1] > whole.initial_points
    place = place_in(store)
    for iteration in (60, 101, 150):  # before, right after and long after it grew
        cut_off(lambda checkpoints: fitted(config, checkpoints), place, iteration)
    torch.manual_seed(5)  # of no consequence
    assert_same(fitted(config, StoredCheckpoints(place=place, seconds=1000.0)), whole)


def test_a_resumed_fit_with_per_photo_terms_ends_with_the_same_bits(
    store: Store, fitted: Callable[..., Splat]
) -> None:
    config = GROWING.model_copy(update={"appearance": "affine", "pose_learning_rate": 1e-3})
    whole = fitted(config)
    for iteration in (3, 60, 101):  # before some photo's first turn, and after
        cut_off(lambda checkpoints: fitted(config, checkpoints), place_in(store), iteration)
    again = fitted(config, StoredCheckpoints(place=place_in(store), seconds=1000.0))
    assert_same(again, whole)
    for name in ("colours", "pose_deltas"):
        ours, theirs = (getattr(one.fitted.per_photo, name) for one in (again, whole))
        np.testing.assert_array_equal(ours, theirs)


def test_a_resumed_fit_still_reports_that_it_reached_the_limit(
    store: Store, fitted: Callable[..., Splat]
) -> None:
    growing = Default(start=50, every=50, stop_share=0.8, gradient=1e-5)
    config = GROWING.model_copy(update={"densify": growing})
    config = config.model_copy(update={"max_gaussians": fitted(STEADY).initial_points + 5})
    cut_off(lambda checkpoints: fitted(config, checkpoints), place_in(store), 130)
    again = fitted(config, StoredCheckpoints(place=place_in(store), seconds=1000.0))
    assert again.fitted.at_limit


def test_a_fit_can_be_interrupted_and_resumed_repeatedly(
    store: Store, fitted: Callable[..., Splat], whole: dict[SplatConfig, Splat]
) -> None:
    place = place_in(store)
    for iteration in (60, 100, 101, 140):
        cut_off(lambda checkpoints: fitted(GROWING, checkpoints), place, iteration)
    assert_same(fitted(GROWING, StoredCheckpoints(place=place, seconds=1000.0)), whole[GROWING])


def test_saving_at_every_iteration_changes_nothing(
    store: Store, fitted: Callable[..., Splat], whole: dict[SplatConfig, Splat]
) -> None:
    class Always(StoredCheckpoints):
        def due(self) -> bool:
            return True

    always = Always(place=place_in(store), seconds=0.0)
    assert_same(fitted(GROWING, always), whole[GROWING])
    assert always.note == ""
    kept = always.load(TrainState)
    assert kept is not None
    assert kept.iteration == 160


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]


@pytest.mark.parametrize("damaged", [flip, lambda content: content[:-100], lambda content: b""])
def test_after_a_damaged_checkpoint_the_fit_restarts_and_reports_it(
    store: Store,
    fitted: Callable[..., Splat],
    whole: dict[SplatConfig, Splat],
    damaged: Callable[[bytes], bytes],
) -> None:
    cut_off(lambda checkpoints: fitted(GROWING, checkpoints), place_in(store), 120)
    path = Path(store.root) / "checkpoints" / "splat-1"
    path.write_bytes(damaged(path.read_bytes()))
    told: list[tuple[float, str]] = []

    rest = StoredCheckpoints(place=place_in(store), seconds=1000.0)
    again = fitted(GROWING, rest, progress=lambda *what: told.append(what))

    assert_same(again, whole[GROWING])
    told = after_the_sweep(told)
    assert told[0][0] == INITIALISING
    assert "is damaged" in told[0][1]
    assert "starts from its beginning" in told[-1][1]


def test_a_fit_does_not_resume_from_the_checkpoint_of_another_key(
    store: Store, fitted: Callable[..., Splat], whole: dict[SplatConfig, Splat]
) -> None:
    cut_off(lambda checkpoints: fitted(STEADY, checkpoints), place_in(store, "splat-1"), 120)
    other = StoredCheckpoints(place=place_in(store, "splat-2"), seconds=1000.0)
    assert_same(fitted(GROWING, other), whole[GROWING])
    assert other.note == ""


def test_an_intact_checkpoint_of_another_format_is_ignored(store: Store) -> None:
    place = place_in(store)
    place.save(lambda file: torch.save({"iteration": 3}, file))
    kept = StoredCheckpoints(place=place, seconds=1.0)
    assert kept.load(TrainState) is None
    assert "is not what this version writes (TypeError)" in kept.note
    with pytest.raises(IntegrityError, match=r"of 5 bytes is not what this version writes"):
        read_state(b"hello", TrainState)


def test_a_failing_checkpoint_store_does_not_end_the_fit(
    tmp_path: Path, fitted: Callable[..., Splat], whole: dict[SplatConfig, Splat]
) -> None:
    (tmp_path / "file").touch()
    store = Store(root=str(tmp_path / "file" / "store"))
    checkpoints = StoredCheckpoints(place=place_in(store), seconds=0.0)
    assert_same(fitted(GROWING, checkpoints), whole[GROWING])
    assert checkpoints.note.startswith("without a checkpoint: the file checkpoints/splat-1 could")


@pytest.mark.parametrize(
    ("iterations", "error", "said"),
    [
        (1, DivergedError, "the mean loss before iteration 1 of 1 is nan, so the .* Gaussians"),
        (160, InputError, "are not finite"),  # the rasteriser meets it before the curve does
    ],
)
def test_a_diverged_fit_leaves_no_checkpoint(
    store: Store,
    scene: PosedPhotos,
    whole: dict[SplatConfig, Splat],
    iterations: int,
    error: type[UnseenError],
    said: str,
) -> None:
    class Always(StoredCheckpoints):
        def due(self) -> bool:
            return True

    # A state that no fit can use stands for one that an earlier attempt kept.
    place_in(store).save(lambda file: torch.save({"iteration": 0}, file))
    nowhere_finite = np.full(scene.photos[0].shape[:2], np.nan, dtype=np.float32)
    with pytest.raises(error, match=said):
        optimise(
            SizedPhotos(
                cameras=scene.cameras.select([0, 7]),
                photos=[scene.photos[0], scene.photos[7]],
                weights=[nowhere_finite, nowhere_finite],
            ),
            Initialisation(gaussians=whole[STEADY].fitted.gaussians),
            STEADY.model_copy(update={"iterations": iterations}),
            context=Context(checkpoints=Always(place=place_in(store), seconds=0.0)),
        )
    assert place_in(store).load() is None


shapes = st.lists(st.integers(0, 4), max_size=3)


@settings(max_examples=30)
@given(
    shapes=st.lists(shapes, min_size=3, max_size=3),
    seed=st.integers(0, 99),
    iteration=st.integers(0, 2**40),
    loss=st.floats(),
    rate=st.floats(0, 1),
)
def test_a_training_state_is_read_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory,
    shapes: list[list[int]],
    seed: int,
    iteration: int,
    loss: float,
    rate: float,
) -> None:
    generator = np.random.default_rng(seed)

    def any_bits(shape: list[int]) -> torch.Tensor:  # NaN, infinities and denormals too
        words = generator.integers(0, 2**32, shape, dtype=np.uint32)
        return torch.from_numpy(np.asarray(words).view(np.float32))

    parameter, moment, gradient = (any_bits(shape) for shape in shapes)
    state = TrainState(
        iteration=iteration,
        parameters={"means": parameter},
        optimisers={"means": {"state": {0: {"exp_avg": moment}}, "param_groups": [{"lr": rate}]}},
        strategy={"grad2d": gradient, "count": None, "scene_scale": rate},
        per_photo={
            "pose_deltas": {"values": gradient, "optimiser": {"state": {0: {"step": moment}}}}
        },
        generators=(torch.get_rng_state(),),
        losses=any_bits([seed % 3]),
        points=((iteration, loss, 7, rate),),
    )
    place = place_in(Store(root=str(tmp_path_factory.getbasetemp() / "states")))
    place.save(lambda file: write_state(state, file))
    content = place.load()
    assert content is not None
    found = read_state(content, TrainState)

    assert bits(found) == bits(state)


def test_a_full_disk_raises_the_error_of_the_operating_system() -> None:
    state = TrainState(
        iteration=1,
        parameters={"means": torch.zeros(1_000_000)},
        optimisers={},
        strategy={},
        per_photo={},
        generators=(),
        losses=torch.zeros(0),
        points=(),
    )
    with (
        Path("/dev/full").open("wb", buffering=0) as full,
        pytest.raises(OSError, match="No space left"),
    ):
        write_state(state, full)


def bits(value: object) -> object:
    """Of all in it, in a form that compares NaN as it is written."""
    if isinstance(value, TrainState):
        return {part.name: bits(getattr(value, part.name)) for part in fields(value)}
    if isinstance(value, torch.Tensor):
        return tuple(value.shape), str(value.dtype), value.numpy().tobytes()
    if isinstance(value, dict):
        return {name: bits(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value), [bits(one) for one in value]
    return value.hex() if isinstance(value, float) else value


def test_checkpoints_are_due_after_their_interval_and_cost_at_most_1_percent(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    state = TrainState(
        iteration=1,
        parameters={},
        optimisers={},
        strategy={},
        per_photo={},
        generators=(),
        losses=torch.zeros(0),
        points=(),
    )
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    kept = StoredCheckpoints(place=place_in(store), seconds=30.0)

    def writing_takes(seconds: float) -> None:
        def write(state: TrainState, file: object) -> None:
            nonlocal now
            now += seconds

        monkeypatch.setattr(module, "write_state", write)

    now = 129.9
    assert not kept.due()
    now = 130.0
    assert kept.due()
    writing_takes(0.1)
    kept.save(state)
    now += 29.9
    assert not kept.due()
    now += 0.1
    assert kept.due()
    writing_takes(2.0)
    kept.save(state)
    now += 199
    assert not kept.due()
    now += 1
    assert kept.due()


def test_the_checkpoint_of_a_stage_is_kept_until_the_stage_succeeds(store: Store) -> None:
    def names() -> list[str]:
        return [path.name for path in (Path(store.root) / "checkpoints").iterdir()]

    def stage(fails: bool) -> None:
        with checkpoints_in(store, "distil-1", 30.0) as kept:
            kept.place.save(lambda file: file.write(b"state"))  # type: ignore[attr-defined]
            if fails:
                raise CutOffError

    with pytest.raises(CutOffError):
        stage(fails=True)
    assert names() == ["distil-1"]
    stage(fails=False)
    assert names() == []


@pytest.mark.parametrize(("seconds", "key"), [(0.0, "splat-1"), (30.0, None)])
def test_without_an_interval_or_a_key_no_checkpoints_are_kept(
    store: Store, seconds: float, key: str | None
) -> None:
    with checkpoints_in(store, key, seconds) as checkpoints:
        assert checkpoints is NO_CHECKPOINTS
