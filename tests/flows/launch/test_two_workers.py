"""Two machines that share a server on Postgres and a store on S3, as the script starts them."""

import shutil
from pathlib import Path

import psutil
import pytest

from tests.conftest import ROOT
from tests.support.commands import script

TWO_WORKERS = script("two_workers")


@pytest.mark.slow
def test_two_workers_share_the_scenes_and_all_processes_end_with_the_script(
    photographed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres = TWO_WORKERS.find_postgres()
    if postgres is None:
        pytest.skip("there is no Postgres here, Debian's package 'postgresql' has one")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name in ("east side", "west"):
        shutil.copytree(photographed, tmp_path / "photos" / name)

    outcome = TWO_WORKERS.rehearse(tmp_path, tmp_path / "photos", postgres)

    first = outcome.scenes[outcome.scenes["run"] == "one"]
    second = outcome.scenes[outcome.scenes["run"] == "two"]
    assert first["scene"].tolist() == second["scene"].tolist() == ["east side", "west"]
    assert set(outcome.scenes["state"]) == {"completed"}
    assert set(first["stages_cached"]) == {0}
    assert set(second["stages_computed"]) == {0}
    assert second["stages_cached"].tolist() == first["stages_computed"].tolist()
    # One each; the second run needs none to be recalled.
    assert outcome.scenes_by_worker == {"east": 1, "west": 1}
    assert outcome.flow_runs_in_postgres == 6
    assert outcome.answer_to_a_stranger == 401
    assert TWO_WORKERS.faults_of(outcome, scenes=2) == []
    assert programs_with(str(tmp_path)) == []


def programs_with(folder: str) -> list[str]:
    """Command lines of programs that were started in a folder or name it."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = " ".join(process.info["cmdline"] or [])
        if folder in words or (process.info["cwd"] or "").startswith(folder):
            found.append(words)
    return found
