"""Datasets and manifests, and the errors of invalid scenes."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from flows.config import SceneConfig
from flows.runs.manifest import SceneEntry, find_scenes
from flows.runs.passed_over import passed_over
from storage.schema import mark_schema
from storage.store import Store
from tasks.errors import InputError
from tasks.splat.config import TrainOn

ODD_NAMES = ("front door", "été", "-dash", "写真", "[red]x", "a,b", "100%")


def folders(root: Path, *names: str) -> Path:
    """Folders that are not empty."""
    for name in names:
        (root / name).mkdir(parents=True)
        (root / name / "a.jpg").write_bytes(b"")
    return root


def written(file: Path, text: str, encoding: str = "utf-8") -> Path:
    file.write_text(text, encoding=encoding)
    return file


def found(dataset: Path, *only: str, roots: Sequence[Path] = ()) -> dict[str, SceneEntry]:
    entries = find_scenes(dataset, SceneConfig(), only, roots=roots)
    return {entry.name: entry for entry in entries}


def test_every_visible_sub_folder_is_a_scene_and_files_are_not(tmp_path: Path) -> None:
    folders(tmp_path, *ODD_NAMES, ".hidden")
    (tmp_path / "notes.txt").touch()
    entries = found(tmp_path)
    assert sorted(entries) == sorted(ODD_NAMES)
    assert all(entry.error is None for entry in entries.values())
    assert entries["été"].folder == str(tmp_path / "été")


def test_folders_that_are_no_scenes_are_passed_over_in_one_line(tmp_path: Path) -> None:
    folders(tmp_path, "attic", "__MACOSX", "@eaDir", "lost+found", "$RECYCLE.BIN")
    (tmp_path / "notes").mkdir()
    mark_schema(Store(root=str(tmp_path / "unseen-store")))
    (tmp_path / "old" / "runs").mkdir(parents=True)
    for name in ("cache", "metrics", "scenes"):
        (tmp_path / "old" / name).mkdir()
    assert list(found(tmp_path)) == ["attic"]
    line = passed_over(tmp_path)
    assert "\n" not in line
    for name, why in (
        ("__MACOSX", "left by another system"),
        ("lost+found", "left by another system"),
        ("notes", "empty"),
        ("unseen-store", "a store of unseen"),
        ("old", "a store of unseen"),
    ):
        assert f"'{name}' ({why})" in line
    assert "attic" not in line.removeprefix(f"passed over in '{tmp_path}'")


def test_nothing_is_said_where_every_folder_is_a_scene(tmp_path: Path) -> None:
    assert passed_over(folders(tmp_path, "attic")) == ""
    (tmp_path / "empty").mkdir()
    assert "'empty' (empty)" in passed_over(tmp_path)
    written(tmp_path / "dataset.csv", "folder\nattic\n")
    assert passed_over(tmp_path) == ""


@pytest.mark.parametrize("cameras", [("cam0", "cam1"), ("left", "right"), ("Camera_A", "Camera_B")])
def test_the_cameras_of_a_rig_are_not_mistaken_for_scenes(
    tmp_path: Path, cameras: tuple[str, ...]
) -> None:
    folders(tmp_path, *(f"data/house/{camera}" for camera in cameras))
    assert list(found(tmp_path / "data")) == ["house"]
    with pytest.raises(InputError, match=r"holds 2 photos itself.*one scene; use 'unseen scene"):
        found(tmp_path / "data/house")
    text = f"scenes: [{{folder: {cameras[0]}}}, {{folder: {cameras[1]}}}]"
    assert len(found(written(tmp_path / "data/house/dataset.yaml", text))) == 2


def test_scene_folders_are_absolute_for_every_kind_of_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders(tmp_path, "photos/a")
    monkeypatch.chdir(tmp_path)
    assert found(Path("photos"))["a"].folder == str(tmp_path / "photos" / "a")


def test_links_within_a_dataset_and_to_folders_that_are_allowed_are_scenes(tmp_path: Path) -> None:
    folders(tmp_path, "elsewhere/a", "photos/c")
    (tmp_path / "photos" / "b").symlink_to(tmp_path / "elsewhere" / "a")
    (tmp_path / "photos" / "d").symlink_to("c")
    entries = found(tmp_path / "photos", roots=[tmp_path / "elsewhere"])
    assert list(entries) == ["b", "c", "d"]
    assert all(entry.error is None for entry in entries.values())


@pytest.mark.parametrize(
    "folder", ["link", "link/sub", "../secret", "a/../../secret", "{absolute}"]
)
def test_entries_outside_the_dataset_are_refused_in_one_sentence(
    tmp_path: Path, folder: str
) -> None:
    folders(tmp_path, "secret/sub", "photos/a")
    (tmp_path / "photos" / "link").symlink_to(tmp_path / "secret")
    folder = folder.format(absolute=tmp_path / "secret")
    manifest = written(
        tmp_path / "photos" / "my.yaml", f"scenes: [{{folder: {folder}, name: x}}, {{folder: a}}]"
    )
    entries = found(manifest)
    assert entries["a"].error is None
    assert str(tmp_path / "secret") in str(entries["x"].error)
    assert f"out of {tmp_path / 'photos'}, so it is not read" in str(entries["x"].error)
    assert found(manifest, roots=[tmp_path / "secret"])["x"].error is None


def test_entries_may_contain_parent_steps_within_the_dataset(tmp_path: Path) -> None:
    folders(tmp_path, "a", "b")
    text = f"scenes: [{{folder: b/../a}}, {{folder: {tmp_path / 'b'}}}]"
    assert all(entry.error is None for entry in found(written(tmp_path / "m.yaml", text)).values())


def test_a_manifest_cannot_construct_python_objects(tmp_path: Path) -> None:
    target = tmp_path / "made by the bomb"
    for tag in (f"!!python/object/apply:os.mkdir ['{target}']", "!!python/name:os.system ''"):
        with pytest.raises(InputError, match="is not YAML"):
            found(written(tmp_path / "m.yaml", f"scenes: [{{folder: {tag}}}]"))
    assert not target.exists()


@pytest.mark.parametrize("manifest", ["dataset.yaml", "dataset.yml", "dataset.csv"])
def test_a_manifest_in_the_folder_defines_its_scenes(tmp_path: Path, manifest: str) -> None:
    folders(tmp_path, "a", "b")
    text = "folder\nb\n" if manifest.endswith("csv") else "scenes: [{folder: b}]"
    written(tmp_path / manifest, text)
    assert list(found(tmp_path)) == ["b"]


def test_a_yaml_manifest_gives_names_folders_and_configs(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    text = f"""
scenes:
- folder: house/2024
- {{folder: house/2024, name: front, config: {{split: {{kind: train_on, photos: [a, b]}}}}}}
- {{folder: {elsewhere}, name: "001"}}
"""
    entries = found(written(tmp_path / "my.YAML", text), roots=[elsewhere])
    assert list(entries) == ["001", "2024", "front"]
    assert entries["2024"].folder == str(tmp_path / "house" / "2024")
    assert entries["2024"].config == SceneConfig()
    assert entries["front"].config.split == TrainOn(photos=("a", "b"))
    assert entries["001"].folder == str(elsewhere)


def test_scenes_run_by_priority_then_by_name(tmp_path: Path) -> None:
    text = (
        "scenes: [{folder: b}, {folder: z, priority: 10}, {folder: a}, {folder: c, priority: -1}]"
    )
    assert list(found(written(tmp_path / "my.yaml", text))) == ["z", "a", "b", "c"]
    text = "folder,priority\nb,\nz,10\na,\nc,-1\n"
    assert list(found(written(tmp_path / "my.csv", text))) == ["z", "a", "b", "c"]


def test_a_csv_manifest_is_read_as_spreadsheets_write_it(tmp_path: Path) -> None:
    text = 'folder , name\r\nattic, "front, left"\r\n"b ""b""",\r\n\r\n , \r\n'
    entries = found(written(tmp_path / "my.csv", text, "utf-8-sig"))
    assert list(entries) == ['b "b"', "front, left"]
    assert entries["front, left"].folder == str(tmp_path / "attic")
    assert all(entry.error is None for entry in entries.values())


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{name: x}", "has no folder"),
        ("{folder: a, priority: soon}", "'soon', not a whole number"),
        ("{folder: a, priority: 1.5}", "1.5, not a whole number"),
        ("{folder: a, priority: true}", "True, not a whole number"),
        ("{folder: a, name: ..}", "'..'"),
        ("{folder: a, name: b/c}", "slashes"),
        ('{folder: a, name: "a\\nb"}', "control characters"),
        ("{folder: a, colour: red}", "unknown fields ['colour']"),
        ("{folder: 001}", "not text; put it in quotes"),
        ("{folder: a, name: 7}", "not text; put it in quotes"),
        ("{folder: a, config: 5}", "is a int, but fields by name are needed"),
        ("{folder: a, config: {splat: {iteration: 5}}}", "did you mean 'iterations'"),
        ("{folder: a, config: {splat: {iterations: 0}}}", "'splat.iterations' is 0"),
    ],
)
def test_a_bad_entry_carries_its_error_and_the_others_are_read(
    tmp_path: Path, row: str, said: str
) -> None:
    text = f"scenes:\n- {row}\n- {{folder: good}}\n"
    entries = found(written(tmp_path / "dataset.yaml", text))
    assert entries.pop("good").error is None
    (bad,) = entries.values()
    assert bad.name
    assert bad.error is not None
    assert said in str(bad.error)


def test_a_csv_row_with_more_cells_than_titles_carries_its_error(tmp_path: Path) -> None:
    entries = found(written(tmp_path / "d.csv", "folder,name\na,b,c\nd,e\n"))
    assert entries["e"].error is None
    assert "unknown fields ['column 3']" in str(entries["b"].error)


def test_scenes_with_the_same_name_are_all_refused(tmp_path: Path) -> None:
    text = "scenes: [{folder: x/a}, {folder: y/a}, {folder: z/a}, {folder: b}]"
    entries = find_scenes(written(tmp_path / "dataset.yaml", text), SceneConfig())
    assert [entry.name for entry in entries] == ["a", "b"]
    assert "3 scenes are named 'a'" in str(entries[0].error)
    assert entries[1].error is None


def test_a_selection_of_scenes_can_be_run(tmp_path: Path) -> None:
    folders(tmp_path, "a", "b", "c")
    assert list(found(tmp_path, "c", "a")) == ["a", "c"]


def test_an_unknown_scene_is_refused_and_known_scenes_are_listed(tmp_path: Path) -> None:
    folders(tmp_path, "a", "b")
    with pytest.raises(InputError, match=r"has no scene 'x'; it has: a, b"):
        found(tmp_path, "a", "x")


@pytest.mark.parametrize("place", ["", "images"])
def test_a_folder_of_photos_is_not_mistaken_for_a_folder_of_scenes(
    tmp_path: Path, place: str
) -> None:
    folders(tmp_path, "my scene/depth")
    photos = tmp_path / "my scene" / place
    photos.mkdir(exist_ok=True)
    for index in range(3):
        Image.new("RGB", (8, 8)).save(photos / f"{index}.png")
    with pytest.raises(InputError, match=r"holds 3 photos itself.*use 'unseen scene '.*my scene''"):
        found(tmp_path / "my scene")


def test_a_scene_of_another_kind_is_not_mistaken_for_a_folder_of_scenes(tmp_path: Path) -> None:
    for name in ("clip", "model/sparse", "model/masks"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "clip/walk.mp4").write_bytes(b"")
    with pytest.raises(InputError, match=r"holds 1 videos itself"):
        found(tmp_path / "clip")
    Image.new("RGB", (8, 8)).save(tmp_path / "model/0.png")
    Image.new("L", (8, 8), 255).save(tmp_path / "model/masks/0.png")
    with pytest.raises(InputError, match=r"holds 1 photos itself"):
        found(tmp_path / "model")


def test_a_stray_photo_beside_scene_folders_is_ignored(tmp_path: Path) -> None:
    folders(tmp_path, "a")
    Image.new("RGB", (8, 8)).save(tmp_path / "cover.jpg")
    assert list(found(tmp_path)) == ["a"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("d.yaml", b"scenes: 5", "has no list 'scenes'"),
        ("d.yaml", b"- a\n- b", "has no list 'scenes'"),
        ("d.yaml", b"scenes: [a, b]", "has no list 'scenes'"),
        ("d.yaml", b"scenes: [", "is not YAML"),
        ("d.yaml", b"scenes: []", "holds no scenes"),
        ("d.csv", b"", "has no column 'folder'"),
        ("d.csv", b"folder;name\na;b\n", r"has no column 'folder' .*it has: folder;name"),
        ("d.csv", b"folder\n", "holds no scenes"),
        ("d.csv", "folder\nété\n".encode("latin-1"), "is not CSV in UTF-8"),
        ("d.csv", b'folder\n"a', "is not CSV"),
        ("d.txt", b"a", "is a file of another kind"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said):
        found(tmp_path / name)


def test_missing_and_empty_datasets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        found(tmp_path / "none")
    with pytest.raises(InputError, match="holds no scenes"):
        found(tmp_path)


def test_names_that_nothing_has_suggest_the_nearest(tmp_path: Path) -> None:
    dataset = written(tmp_path / "d.yaml", "scenes: [{folder: attic}, {folder: hall}]")
    with pytest.raises(InputError, match=r"no scene 'atic', did you mean 'attic'\? \(it has: at"):
        find_scenes(dataset, SceneConfig(), ("atic", "hall"))
    (entry,) = find_scenes(
        written(tmp_path / "e.yaml", "scenes: [{folder: a, priorty: 3}]"), SceneConfig()
    )
    assert "did you mean 'priority'" in str(entry.error)
    with pytest.raises(InputError, match=r"has no place for 'confg', 'scene'.*it has: scenes"):
        find_scenes(
            written(tmp_path / "f.yaml", "scenes: [{folder: a}]\nconfg: {}\nscene: 1"),
            SceneConfig(),
        )
