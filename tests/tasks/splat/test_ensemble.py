"""Selection of the ensemble fitted beside the splat of a scene."""

from hypothesis import given
from hypothesis import strategies as st

from tasks.depth.config import DenseConfig
from tasks.splat.config import Points, SplatConfig
from tasks.splat.ensemble import EnsembleConfig, ensemble_of

COUNTS = st.integers(0, 16)


@given(
    count=COUNTS,
    few=st.integers(0, 20),
    photos=st.integers(2, 40),
    seed=st.integers(0, 99),
)
def test_ensemble_members_of_few_photos_have_distinct_seeds(
    count: int, few: int, photos: int, seed: int
) -> None:
    splat = SplatConfig(iterations=70, seed=seed)
    found = ensemble_of(splat, EnsembleConfig(count=count, max_training_photos=few), photos)
    assert len(found) == (count if photos <= few else 0)
    assert len({splat.seed, *(one.seed for one in found)}) == 1 + len(found)


def test_only_the_first_ensemble_member_differs_and_starts_from_points() -> None:
    splat = SplatConfig(iterations=70, init=DenseConfig(), sh_degree=1)
    found = ensemble_of(splat, EnsembleConfig(count=3), 4)
    assert [one.init for one in found] == [Points(), splat.init, splat.init]
    alike = {"seed": splat.seed, "init": splat.init}
    assert {one.model_copy(update=alike) for one in found} == {splat}


def test_the_ensemble_of_a_splat_from_points_starts_from_points() -> None:
    splat = SplatConfig(init=Points())
    assert {one.init for one in ensemble_of(splat, EnsembleConfig(count=2), 4)} == {Points()}
