from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from storage.names import MAX_LENGTH, NameRefusedError, check_name, object_name

any_name = st.text(st.characters(), max_size=60) | st.text("a-%.é~, /", max_size=200)


@given(any_name)
@example("..")
@example(".")
@example("")
@example("\udc80")  # a byte of a file name that is not UTF-8
@example("a" * 5000)
def test_an_object_name_is_one_safe_component(name: str) -> None:
    found = object_name(name)
    assert found not in ("", ".", "..")
    assert not found.startswith(".")
    assert set(found) <= set("-_.~%") | set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    )
    assert len(found) <= MAX_LENGTH
    assert Path("store", found).parts == ("store", found)


@given(any_name, any_name)
def test_different_names_have_different_object_names(first: str, second: str) -> None:
    assume(first != second)
    assert object_name(first) != object_name(second)


@given(st.text("ab", min_size=MAX_LENGTH - 20, max_size=MAX_LENGTH + 20))
def test_an_object_name_used_as_a_name_gives_another_object_name(name: str) -> None:
    """A long name is cut; the name it is cut to must then stand for something else itself."""
    short = object_name(name)
    assert short == name or object_name(short) != short


def test_long_names_that_differ_at_the_end_have_different_object_names() -> None:
    assert object_name("x" * 300 + "1") != object_name("x" * 300 + "2")


@pytest.mark.parametrize("name", ["fountain_p11", "001", "hall-2", "v1.2", "~x", "A"])
def test_a_plain_name_is_its_own_object_name(name: str) -> None:
    assert object_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", " ", ".", "..", " .. ", "a/b", "/", "a\\b", "a\nb", "\x00", "a\x7f", "\udc80", "a\u2028"],
)
def test_ambiguous_names_are_refused(name: str) -> None:
    with pytest.raises(NameRefusedError, match="rename the scene"):
        check_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "a b",
        "-rf",
        "été",
        "日本",
        "a.b",
        "...",
        ".hidden",
        "100%",
        "it's",
        "می‌روم",
        "3.14\u202fPM",
    ],
)
def test_ordinary_names_are_accepted(name: str) -> None:
    check_name(name)
