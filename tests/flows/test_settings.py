"""Facts of the machine from ``UNSEEN_`` variables."""

from pathlib import Path

import pytest

from flows.orchestration.api import without_password
from flows.settings import Settings, shared_cores, usable_cores
from tasks.errors import InputError


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("UNSEEN_THREADS", "many", "UNSEEN_THREADS is 'many': input should be a valid integer"),
        ("UNSEEN_THREADS", "-1", "UNSEEN_THREADS is '-1': input should be greater than"),
        ("UNSEEN_DEVICE", "gpu", "UNSEEN_DEVICE is 'gpu': input should be 'auto', 'cpu' or 'cuda'"),
        ("UNSEEN_STORE", "", "UNSEEN_STORE is ''"),
        ("UNSEEN_CHECKPOINT_SECONDS", "-1", "UNSEEN_CHECKPOINT_SECONDS is '-1'"),
        ("UNSEEN_CHECKPOINT_SECONDS", "inf", "UNSEEN_CHECKPOINT_SECONDS is 'inf'"),
        ("UNSEEN_STAGE_SECONDS", "-1", "UNSEEN_STAGE_SECONDS is '-1'"),
    ],
)
def test_an_invalid_value_gives_one_sentence_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError) as caught:
        Settings()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_directory_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNSEEN_STORE", "my store")
    assert Settings().open_store().root == str(tmp_path / "my store")


def test_the_home_directory_may_be_a_tilde(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("UNSEEN_STORE", "~/store")
    assert Settings().open_store().root == str(tmp_path / "store")


def test_a_url_is_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNSEEN_STORE", "s3://bucket/path/")
    assert Settings().open_store().root == "s3://bucket/path"


def test_the_checkpoint_interval_is_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Settings(device="cpu").machine().checkpoint_seconds == 30
    monkeypatch.setenv("UNSEEN_CHECKPOINT_SECONDS", "0.5")
    assert Settings(device="cpu").machine().checkpoint_seconds == 0.5


def test_requesting_cuda_without_it_names_the_package_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("UNSEEN_DEVICE", "cuda")
    with pytest.raises(InputError, match="UNSEEN_DEVICE is cuda but torch"):
        Settings().machine()


@pytest.mark.parametrize(("threads", "max_concurrent"), [(0, 0), (1, 0), (0, 1), (3, 2)])
def test_threads_and_scenes_are_as_configured_or_fill_the_machine(
    threads: int, max_concurrent: int
) -> None:
    each, joint = shared_cores(threads, max_concurrent)
    assert each == threads or threads == 0
    assert joint == max_concurrent or max_concurrent == 0
    assert each >= 1
    assert joint >= 1
    if threads == 0 and max_concurrent == 0:
        assert each * joint <= usable_cores()


@pytest.mark.parametrize(
    "url", ["s3://key:se/cret@bucket/x", "ftp://u:secret@host/x", "simplecache::s3://k:secret@b/x"]
)
def test_a_store_whose_url_holds_a_password_is_refused_without_repeating_it(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("UNSEEN_STORE", url)
    with pytest.raises(InputError, match="holds a password") as caught:
        Settings().open_store()
    assert "cret@" not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["s3://bucket/a:b@c", "abfs://box@account.host/x", "memory://x"])
def test_a_url_with_similar_characters_is_not_taken_for_a_password(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("UNSEEN_STORE", url)
    assert Settings().open_store().root == url


def test_photo_roots_are_a_colon_separated_list_of_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().roots() == ()
    monkeypatch.setenv("UNSEEN_PHOTO_ROOTS", "/data/photos::/mnt/more")
    assert Settings().roots() == (Path("/data/photos"), Path("/mnt/more"))


def test_a_url_is_shown_without_its_password() -> None:
    assert without_password("http://me:s/ecret@host:4200/api") == "http://me:...@host:4200/api"
    assert without_password("http://127.0.0.1:4200/api") == "http://127.0.0.1:4200/api"
