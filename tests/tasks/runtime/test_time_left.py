"""The time a stage still takes, against stages whose pace is known."""

import pytest

from tasks.runtime.time_left import TimeLeft, in_words


def test_at_a_steady_pace_it_is_exact() -> None:
    left = TimeLeft()
    assert left.seconds(0.1, 1000.0) is None
    assert left.seconds(0.11, 1001.0) is None  # too early to say
    for second in range(2, 91):
        found = left.seconds(0.1 + second / 100, 1000.0 + second)
        assert found == pytest.approx(90 - second)


def test_what_was_done_before_the_first_report_is_no_work() -> None:
    left = TimeLeft()
    left.seconds(0.9, 0.0)
    assert left.seconds(0.95, 100.0) == pytest.approx(100)


def test_a_change_of_pace_is_known_after_half_a_minute() -> None:
    left = TimeLeft()
    for second in range(51):
        left.seconds(second / 100, float(second))
    for second in range(1, 32):
        found = left.seconds(0.5 + second / 400, 50.0 + second)
    assert found == pytest.approx(200 - 31, rel=0.05)


def test_where_nothing_moves_nothing_is_said() -> None:
    left = TimeLeft()
    assert [left.seconds(0.5, float(second)) for second in range(60)] == [None] * 60


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "1 s"),
        (42.4, "42 s"),
        (89.0, "89 s"),
        (150.0, "2 min"),
        (3540.0, "59 min"),
        (3599.0, "1 h 0 min"),
        (7500.0, "2 h 5 min"),
    ],
)
def test_it_is_said_as_people_say_it(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
