import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import InputError
from tasks.splat.config import EveryNth, TrainOn
from tasks.splat.split import check_photos, named_split, split_photos

GUARD = st.none() | st.integers(0, 12)


def names(count: int) -> list[str]:
    return [f"{number:04d}.jpg" for number in range(count)]


def test_every_eighth_photo_is_held_out() -> None:
    found = split_photos(names(11), EveryNth(validation=0))
    assert found.held_out == (0, 8)
    assert found.training == (1, 2, 3, 4, 5, 6, 7, 9, 10)


def test_the_offset_shifts_the_held_out_photos() -> None:
    assert split_photos(names(11), EveryNth(n=4, offset=3)).held_out == (3, 7)


def test_an_offset_beyond_the_photos_holds_no_photo_out() -> None:
    found = split_photos(names(5), EveryNth(n=8, offset=5))
    assert found.held_out == ()
    assert found.training == (0, 1, 2, 3, 4)


def test_named_photos_are_trained_on_in_the_order_of_the_photos() -> None:
    config = TrainOn(photos=("0004.jpg", "0001.jpg", "0004.jpg"))
    found = split_photos(names(6), config)
    assert found.training == (1, 4)
    assert found.held_out == (0, 2, 3, 5)


def test_named_photos_without_a_pose_are_left_out() -> None:
    found = split_photos(names(3), TrainOn(photos=("0000.jpg", "lost.jpg", "0002.jpg")))
    assert found.training == (0, 2)
    assert found.held_out == (1,)


@pytest.mark.parametrize(
    ("photos", "validation"),
    [(2, ()), (7, ()), (8, (4,)), (9, (4,)), (23, (11,)), (24, (6, 17)), (100, (25, 74))],
)
def test_validation_photos_are_spread_evenly_and_their_number_grows(
    photos: int, validation: tuple[int, ...]
) -> None:
    assert split_photos(names(photos), EveryNth(offset=photos)).validation == validation


def test_validation_photos_are_taken_from_the_training_photos() -> None:
    found = split_photos(names(11), EveryNth(n=2, offset=1, validation=2))
    assert found.held_out == (1, 3, 5, 7, 9)
    assert found.validation == (4, 8)
    assert found.training == (0, 2, 6, 10)


@given(
    count=st.integers(2, 60),
    config=st.builds(EveryNth, n=st.integers(2, 20), offset=st.integers(0, 70), validation=GUARD)
    | st.builds(
        TrainOn,
        photos=st.lists(st.sampled_from(names(60)), min_size=2).map(tuple),
        validation=GUARD,
    ),
)
def test_each_photo_is_in_exactly_one_set(count: int, config: EveryNth | TrainOn) -> None:
    try:
        found = split_photos(names(count), config)
    except InputError:
        return
    assert sorted(found.training + found.validation + found.held_out) == list(range(count))
    assert len(found.training) >= 2
    if config.validation is not None:
        assert len(found.validation) == config.validation
    if found.validation:
        assert found.training[0] < found.validation[0]
        assert found.validation[-1] < found.training[-1]
    for side in (found.training, found.validation, found.held_out):
        assert list(side) == sorted(side)


@pytest.mark.parametrize(
    ("count", "config", "said"),
    [
        (0, EveryNth(), "of 0 photos with poses, 0 are left to train on"),
        (1, EveryNth(n=2), "of 1 photos with poses, 1 are left to train on"),
        (3, EveryNth(n=2), "of 3 photos with poses, 1 are left to train on"),
        (
            5,
            EveryNth(validation=3),
            "of 5 photos with poses, 4 are left to train on and 3 of them are kept for validation",
        ),
        (9, TrainOn(photos=("a", "b")), "0 of the 2 photos named to train on have a pose"),
        (9, TrainOn(photos=("0001.jpg", "b")), "1 of the 2 photos named to train on have a pose"),
        (9, TrainOn(photos=("0001.jpg",) * 2), "1 of the 1 photos named to train on have a pose"),
    ],
)
def test_fewer_than_two_training_photos_are_refused(
    count: int, config: EveryNth | TrainOn, said: str
) -> None:
    with pytest.raises(InputError, match=rf"^{said}, and a splat needs at least 2; "):
        split_photos(names(count), config)


def test_of_two_photos_none_is_held_out() -> None:
    found = split_photos(names(2), EveryNth(n=2))
    assert (found.training, found.validation, found.held_out) == ((0, 1), (), ())


def test_the_named_split_is_the_same_whichever_photos_get_a_pose() -> None:
    everyone = names(11)
    found = named_split(everyone, EveryNth(n=4, offset=1, validation=1))
    expected = tuple(name for i, name in enumerate(everyone) if i not in (1, 5, 9))
    assert found == TrainOn(photos=expected, validation=1)
    with_pose = [name for name in everyone if name not in (everyone[0], everyone[5])]
    split = split_photos(with_pose, found)
    held_out = {with_pose[i] for i in split.held_out}
    assert held_out == {everyone[1], everyone[9]}


def test_a_named_photo_that_the_scene_lacks_is_an_error_that_suggests_the_nearest() -> None:
    chosen = TrainOn(photos=("0000.jpg", "0001.jpeg", "0002.jpg"))
    with pytest.raises(InputError, match=r"no photo '0001.jpeg', did you mean '0001.jpg'\?"):
        check_photos(chosen, names(3))
    check_photos(TrainOn(photos=("0000.jpg", "0002.jpg")), names(3))
    check_photos(EveryNth(), names(3))
