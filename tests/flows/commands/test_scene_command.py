"""``unseen scene`` and what is refused, as people run it: exit codes, tables and sentences."""

import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import av
import numpy as np
import pytest
from PIL import Image

from storage.handles import ArrayHandle
from storage.metrics import read_table
from storage.store import Store
from tasks.splat.export.ply import read_ply
from tasks.splat.export.spz import read_spz
from tests.conftest import SECRET
from tests.flows.conftest import FAST, Command

Said: TypeAlias = "subprocess.CompletedProcess[str]"


def refused(said: Said, sentence: str) -> None:
    """The command ended with exit code 1, one sentence and no traceback."""
    assert said.returncode == 1, said.stderr
    assert "Traceback" not in said.stderr
    assert "ERROR" not in said.stderr
    told = [line for line in said.stderr.splitlines() if line.startswith("unseen: ")]
    assert len(told) == 1, said.stderr
    assert sentence in told[0]
    assert said.stderr.rstrip().endswith(told[0])


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, unseen: Command, api: str, photographed: Path
) -> tuple[Said, Path]:
    """A scene named after its folder, run in the folder above it with the default store."""
    root = tmp_path_factory.mktemp("a place")
    shutil.copytree(photographed, root / "front [red]")
    return unseen("scene", "front [red]", *FAST, cwd=root), root


def test_the_scene_command_ends_with_its_table(finished: tuple[Said, Path]) -> None:
    said, root = finished
    assert said.returncode == 0, said.stderr
    assert "front [red]" in said.stdout
    assert "1 of 1 scenes completed" in said.stdout
    rows = read_table(Store(root=str(root / "unseen-store")), "scenes")
    assert rows["scene"].tolist() == ["front [red]"]
    assert rows["state"].tolist() == ["completed"]
    assert rows["photos"].tolist() == [8]
    psnr_db = rows["psnr_db"].iloc[0]
    assert psnr_db > 14  # a grey image gives about 12
    assert f"{psnr_db:.2f}" in said.stdout


def test_a_completed_scene_can_be_reported_and_watched_and_needs_no_resume(
    finished: tuple[Said, Path],
    unseen: Command,
    tmp_path: Path,
) -> None:
    _, root = finished
    files = ("--markdown", tmp_path / "é.md", "--pictures", tmp_path / "sheet.jpg")
    report = unseen("report", *files, cwd=root)
    assert report.returncode == 0, report.stderr
    assert "| front [red] | completed | 8 |" in (tmp_path / "é.md").read_text(encoding="utf-8")
    assert Image.open(tmp_path / "sheet.jpg").size[0] > 400
    refused(unseen("report", "--markdown", tmp_path / "no" / "a.md", cwd=root), "No such file")
    refused(unseen("report", "--pictures", tmp_path / "a.nothing", cwd=root), "a.nothing")
    status = unseen("status", cwd=root)
    assert status.returncode == 0, status.stderr
    assert "evaluate finished" in status.stdout
    resume = unseen("resume", cwd=root)
    assert resume.returncode == 0, resume.stderr
    assert "nothing to do" in resume.stdout


def test_a_scene_that_failed_is_resumed_under_its_own_name(
    tmp_path: Path, unseen: Command, api: str, photographed: Path
) -> None:
    (tmp_path / "folder").mkdir()
    store = ("--store", tmp_path / "store")
    said = unseen("scene", tmp_path / "folder", "--name", "other", *store, *FAST)
    refused(said, "holds no photo")
    for photo in (photographed / "images").iterdir():
        shutil.copy(photo, tmp_path / "folder")
    resumed = unseen("resume", *store)
    assert resumed.returncode == 0, resumed.stderr
    rows = read_table(Store(root=str(tmp_path / "store")), "scenes")
    assert rows["scene"].tolist() == ["other"]
    assert rows["state"].tolist() == ["completed"]
    curve = read_table(Store(root=str(tmp_path / "store")), "training")
    assert curve["iteration"].max() == int(FAST[1])  # as it was first asked for


def test_secrets_of_the_environment_are_neither_stored_nor_printed(
    finished: tuple[Said, Path], command_environment: dict[str, str]
) -> None:
    said, root = finished
    assert SECRET not in said.stdout + said.stderr
    places = [root, Path(command_environment["PREFECT_HOME"])]
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    assert any(path.name == "prefect.db" for path in files)
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []


def test_a_finished_store_verifies_and_has_no_garbage_until_its_run_is_dropped(
    finished: tuple[Said, Path], unseen: Command, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    shutil.copytree(finished[1] / "unseen-store", store)
    whole = unseen("verify", "--store", store)
    assert (whole.returncode, whole.stdout) == (0, "no faults found\n"), whole.stderr
    kept = unseen("gc", "--older-than-minutes", 0, "--store", store)
    assert (kept.returncode, kept.stdout) == (0, "nothing to remove\n"), kept.stderr
    (run,) = (path.stem for path in (store / "runs").iterdir())
    name = read_table(Store(root=str(store)), "scenes")["run"].iloc[0]
    assert run.startswith("front")
    dropping = ("gc", "--drop", name, "--older-than-minutes", 0, "--store", store)
    listed = unseen(*dropping)
    assert listed.returncode == 0, listed.stderr
    assert "artefacts: 9, " in listed.stdout
    assert "nothing was removed; add --delete" in listed.stdout
    chunk = next(path for path in (store / "scenes").rglob("c/*") if path.is_file())
    chunk.write_bytes(b"")
    damaged = unseen("verify", "--store", store)
    assert damaged.returncode == 1
    assert str(chunk.relative_to(store)) in damaged.stdout
    assert "unseen: 1 faults in" in damaged.stderr
    removed = unseen(*dropping, "--delete")
    assert removed.returncode == 0, removed.stderr
    assert [path.name for path in store.rglob("*") if path.is_file()] == ["schema.json"]


@pytest.mark.parametrize("command", ["scene", "run"])
def test_an_unwritable_store_is_refused_before_anything_starts(
    tmp_path: Path, unseen: Command, command_environment: dict[str, str], command: str
) -> None:
    (tmp_path / "photos" / "a").mkdir(parents=True)
    (tmp_path / "photos" / "a" / "a.jpg").touch()
    (tmp_path / "file").touch()
    alone = command_environment | {"PREFECT_HOME": str(tmp_path / "home")}
    words = (command, tmp_path / "photos", "--store", tmp_path / "file" / "store")
    refused(unseen(*words, environment=alone), "cannot be written")
    assert not (tmp_path / "home" / "server.pid").exists()
    assert not (tmp_path / "home" / "prefect.db").exists()


def test_a_typo_in_a_config_file_is_refused(tmp_path: Path, unseen: Command) -> None:
    (tmp_path / "run.yaml").write_text("splat: {iteration: 5}")
    said = unseen("scene", tmp_path, "--config", "run.yaml", cwd=tmp_path)
    refused(said, "there is no field 'splat.iteration', did you mean 'iterations'?")
    assert not (tmp_path / "unseen-store").exists()


def test_an_invalid_environment_variable_is_refused(
    tmp_path: Path, unseen: Command, command_environment: dict[str, str]
) -> None:
    bad = command_environment | {"UNSEEN_THREADS": "two"}
    refused(unseen("status", environment=bad, cwd=tmp_path), "UNSEEN_THREADS is 'two'")


def test_a_closed_output_pipe_gives_no_traceback(command_environment: dict[str, str]) -> None:
    root = Path(__file__).parents[3]
    code = "import sys; from flows.cli import main; sys.argv = ['unseen', 'run', '--help']; main()"
    piped = f'"$PYTHON" -c "{code}" | true'
    environment = command_environment | {"PYTHONPATH": str(root), "PYTHON": sys.executable}
    ended = subprocess.run(
        ["bash", "-c", piped], env=environment, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in ended.stderr


def one_photo(folder: Path, photographed: Path) -> None:
    shutil.copy(min((photographed / "images").iterdir()), folder)


def black_photos(folder: Path, photographed: Path) -> None:
    for index in range(4):
        Image.new("RGB", (320, 240)).save(folder / f"{index}.png")


def huge_photos(folder: Path, photographed: Path) -> None:
    """900 megapixels each, in a file of a few kilobytes that a decoder would unpack to 900 MB."""
    edge = 30_000

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", edge, edge, 8, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(edge + 1)) for _ in range(edge)) + packer.flush()
    content = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    for index in range(3):
        (folder / f"{index}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fill", "sentence"),
    [
        (one_photo, "holds 1 photo"),
        (black_photos, "is black"),
        (huge_photos, "900"),
    ],
)
def test_photos_that_cannot_be_reconstructed_are_refused_with_the_reason(
    tmp_path: Path,
    unseen: Command,
    api: str,
    photographed: Path,
    fill: Callable[[Path, Path], None],
    sentence: str,
) -> None:
    (tmp_path / "photos").mkdir()
    fill(tmp_path / "photos", photographed)
    said = unseen("scene", tmp_path / "photos", "--store", tmp_path / "store")
    refused(said, sentence)
    row = read_table(Store(root=str(tmp_path / "store")), "scenes").iloc[0]
    assert row["state"] == "failed"
    assert sentence in row["error_message"]
    report = unseen("report", "--store", tmp_path / "store")
    assert report.returncode == 0, report.stderr
    assert sentence in report.stdout


def test_stages_can_be_disabled_and_the_pipeline_stopped_early(
    finished: tuple[Said, Path], unseen: Command
) -> None:
    _, root = finished
    store = Store(root=str(root / "unseen-store"))

    def stages_of_the_last_run(*options: str) -> list[str]:
        before = set(read_table(store, "stages")["run"])
        said = unseen("scene", "front [red]", *FAST, *options, cwd=root)
        assert said.returncode == 0, said.stderr
        rows = read_table(store, "stages")
        new = rows[~rows["run"].isin(before)]
        assert new["cached"][new["stage"] != "evaluate"].all()
        return new["stage"].tolist()

    assert stages_of_the_last_run("--stages.until", "sfm") == ["ingest", "sfm"]
    without = stages_of_the_last_run("--stages.without", "refine")
    assert without == ["ingest", "sfm", "splat", "views", "evaluate"]
    rows = read_table(store, "scenes").sort_values("written_at")
    assert rows["psnr_db"].notna().tolist() == [True, False, True]
    assert rows["refined_psnr_db"].notna().tolist() == [True, False, False]
    assert rows["confidence_spearman"].notna().tolist() == [True, False, True]


@pytest.mark.parametrize("form", ["colmap", "transforms"])
def test_an_export_can_be_run_as_a_scene(
    finished: tuple[Said, Path], unseen: Command, tmp_path: Path, form: str
) -> None:
    """Exported cameras come back as given poses: sfm then keeps them, in the same world."""
    _, root = finished
    words = ("--store", root / "unseen-store", "--format", form)
    said = unseen("export", tmp_path / "out", *words)
    assert said.returncode == 0, said.stderr
    folder = tmp_path / "out" / "front [red]"
    assert str(folder) in said.stdout
    again = ("--store", tmp_path / "store", "--stages.until", "sfm", *FAST)
    said = unseen("scene", folder, *again)
    assert said.returncode == 0, said.stderr
    old, new = (cameras_of(store) for store in (root / "unseen-store", tmp_path / "store"))
    assert old.keys() == new.keys()
    for name, pose in old.items():
        np.testing.assert_allclose(new[name], pose, atol=1e-6)
    refused(unseen("export", tmp_path / "out", *words), "front [red]")
    words = ("--store", tmp_path / "store", "--format", "ply")
    refused(unseen("export", tmp_path / "out", *words), "has finished the stage splat")


def test_a_splat_fit_continues_with_given_cameras_and_no_held_out_photos(
    finished: tuple[Said, Path], unseen: Command, tmp_path: Path
) -> None:
    _, root = finished
    for place, form in (("out", "colmap"), ("splats", "ply")):
        words = ("--store", root / "unseen-store", "--format", form)
        assert unseen("export", tmp_path / place, *words).returncode == 0
    folder, splat = tmp_path / "out" / "front [red]", tmp_path / "splats" / "front [red].ply"
    config = tmp_path / "run.yaml"
    config.write_text("splat: {init: {kind: ply}}\nstages: {without: [views]}\n")
    words = ("--config", config, *FAST)

    refused(unseen("scene", folder, *words, "--store", tmp_path / "new"), "splat.ply' cannot be")
    shutil.copy(splat, folder / "splat.ply")
    said = unseen("scene", folder, *words, "--store", tmp_path / "store")
    assert said.returncode == 0, said.stderr
    store = Store(root=str(tmp_path / "store"))
    (row,) = read_table(store, "scenes").to_dict("records")
    assert row["held_out_photos"] == 0
    assert np.isnan(row["psnr_db"])
    views = read_table(store, "views")
    assert views[views["split"] == "not_fitted"]["psnr_db"].min() > 14
    assert set(views["split"]) == {"train", "not_fitted"}

    estimated = tmp_path / "estimated"
    shutil.copytree(root / "front [red]", estimated / "front [red]")
    shutil.copy(splat, estimated / "front [red]" / "splat.ply")
    shutil.copytree(root / "unseen-store", tmp_path / "copy")  # its SfM saves doing that again
    words = (*words, "--store", tmp_path / "copy")
    refused(unseen("scene", estimated / "front [red]", *words), "lies in another frame")


@pytest.mark.parametrize("form", ["ply", "spz"])
def test_the_selected_splat_is_exported(
    finished: tuple[Said, Path], unseen: Command, tmp_path: Path, form: str
) -> None:
    _, root = finished
    rows = read_table(Store(root=str(root / "unseen-store")), "stages")
    row = rows[rows["stage"] == "distil"].iloc[0]
    words = ("--store", root / "unseen-store", "--run", row["run"], "--format", form)
    file = tmp_path / "out" / f"front [red].{form}"
    for _ in range(2):  # the second takes the place of the first
        said = unseen("export", tmp_path / "out", *words)
        assert said.returncode == 0, said.stderr
        assert f"wrote {file}" in said.stdout
    assert list(file.parent.iterdir()) == [file]
    read, tolerance = (read_ply, 0) if form == "ply" else (read_spz, 1e-4)
    selected = ArrayHandle(uri=row["uri"], kind="distilled", digest=row["digest"])
    if selected.attributes["selected"] == "control":
        row = rows[rows["stage"] == "control"].iloc[0]
        selected = ArrayHandle(uri=row["uri"], kind="control", digest=row["digest"])
    expected = selected.array("means")
    scene = expected[selected.attributes["num_background"] :]
    np.testing.assert_allclose(read(file).means, scene, atol=tolerance, rtol=0)
    assert unseen("export", tmp_path / "out", *words, "--background").returncode == 0
    sphere = np.abs(expected).max() if form == "spz" else 0  # its numbers have as few digits
    np.testing.assert_allclose(read(file).means, expected, atol=1e-4 * sphere, rtol=0)


def test_a_film_of_the_splat_is_written(
    finished: tuple[Said, Path], unseen: Command, tmp_path: Path
) -> None:
    _, root = finished
    words = ("--seconds", "0.2", "--max-size", "96", "--store", root / "unseen-store")
    said = unseen("film", tmp_path / "films", *words)
    assert said.returncode == 0, said.stderr
    with av.open(str(tmp_path / "films" / "front [red].mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 6
    assert max(frames[0].shape) == 96
    assert frames[0].std() > 5
    refused(unseen("film", tmp_path, "--scenes", "no", *words), "has no scene 'no'")


def cameras_of(store: Path) -> dict[str, np.ndarray]:
    """Camera from world by the stem of the photo's name."""
    rows = read_table(Store(root=str(store)), "stages")
    row = rows[rows["stage"] == "sfm"].iloc[0]
    sparse = ArrayHandle(uri=row["uri"], kind="sparse", digest=row["digest"])
    names = [Path(name).stem for name in sparse.attributes["names"]]
    return dict(zip(names, sparse.array("camera_from_world"), strict=True))


@pytest.mark.parametrize("kind", ["residual", "controlnet"])
def test_trained_refiners_need_only_their_name(
    finished: tuple[Said, Path], unseen: Command, tmp_path: Path, kind: str
) -> None:
    """Their weights ship, and make even a small splat's views better."""
    _, root = finished
    config = tmp_path / "run.yaml"
    config.write_text(f"refine: {{refiner: {{kind: {kind}}}}}\nstages: {{without: [distil]}}\n")
    said = unseen("scene", "front [red]", *FAST, "--config", config, cwd=root)
    assert said.returncode == 0, said.stderr
    row = read_table(Store(root=str(root / "unseen-store")), "scenes").sort_values("written_at")
    assert (row["refined_psnr_db"] - row["psnr_db"]).iloc[-1] > 0
    assert row["refined_share_worse"].iloc[-1] == 0
