"""A checkpoint is loaded whole or not at all, and only under its own key."""

from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.checkpoints import Checkpoint
from storage.errors import IntegrityError, StoreError
from storage.store import Store

KEY = "splat-0123abcd"
CONTENT = bytes(range(256)) * 20


@pytest.fixture(params=["disk", "url"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    root = tmp_path / "store" if request.param == "disk" else f"memory://{tmp_path}/store"
    return Store(root=str(root))


@pytest.fixture
def saved(store: Store) -> Path:
    Checkpoint(store=store, key=KEY).save(lambda file: file.write(CONTENT))
    return Path(store.root) / "checkpoints" / KEY


def test_the_last_checkpoint_is_loaded_until_removed(any_store: Store) -> None:
    checkpoint = Checkpoint(store=any_store, key=KEY)
    assert checkpoint.load() is None
    for content in (CONTENT, b"", b"later"):
        checkpoint.save(lambda file, content=content: file.write(content))
        assert checkpoint.load() == content
    checkpoint.remove()
    checkpoint.remove()
    assert checkpoint.load() is None


@given(parts=st.lists(st.binary()))
def test_content_written_in_parts_is_loaded_as_one(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes]
) -> None:
    store = Store(root=str(tmp_path_factory.getbasetemp() / "parts"))
    checkpoint = Checkpoint(store=store, key=KEY)
    checkpoint.save(lambda file: [file.write(part) for part in parts])
    assert checkpoint.load() == b"".join(parts)


def test_the_file_ends_with_the_digest_of_its_content(saved: Path) -> None:
    content = saved.read_bytes()
    assert content[-32:] == sha256(content[:-32]).digest()
    assert content.splitlines()[:2] == [b"unseen checkpoint 1", KEY.encode()]
    assert CONTENT in content


@pytest.mark.parametrize("place", [0, 30, 1000, -40, -1])
def test_a_flipped_bit_is_detected(store: Store, saved: Path, place: int) -> None:
    content = bytearray(saved.read_bytes())
    content[place] ^= 1
    saved.write_bytes(content)
    with pytest.raises(IntegrityError, match=f"checkpoints/{KEY} .* is damaged"):
        Checkpoint(store=store, key=KEY).load()


@pytest.mark.parametrize("kept", [0, 1, 31, 32, 33, 60, 5000])
def test_a_truncated_file_is_detected(store: Store, saved: Path, kept: int) -> None:
    saved.write_bytes(saved.read_bytes()[:kept])
    with pytest.raises(IntegrityError, match="damaged"):
        Checkpoint(store=store, key=KEY).load()


def test_checkpoints_of_other_work_or_schemas_are_not_loaded(store: Store, saved: Path) -> None:
    other = Checkpoint(store=store, key=KEY.replace("0", "1"))
    assert other.load() is None
    (saved.parent / other.key).write_bytes(saved.read_bytes())
    with pytest.raises(IntegrityError, match="of another piece of work"):
        other.load()
    newer = saved.read_bytes()[:-32].replace(b"checkpoint 1", b"checkpoint 2")
    saved.write_bytes(newer + sha256(newer).digest())
    with pytest.raises(IntegrityError, match="not of schema 1"):
        Checkpoint(store=store, key=KEY).load()


def test_a_failed_write_leaves_only_the_previous_checkpoint(store: Store, saved: Path) -> None:
    def half(file: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise OSError(28, "No space left on device")

    checkpoint = Checkpoint(store=store, key=KEY)
    with pytest.raises(StoreError, match="No space left on device"):
        checkpoint.save(half)
    assert checkpoint.load() == CONTENT
    assert list(store.staging.iterdir()) == []
    assert list(saved.parent.iterdir()) == [saved]
