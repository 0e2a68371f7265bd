"""A site of its own: the deployments as the file says, and a scene that a worker runs from them."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.metrics import read_table
from storage.store import Store
from tests.support.commands import output_of

ROOT = Path(__file__).parents[3]
FILE = ROOT / "deployments" / "prefect.yaml"
PREFECT = (sys.executable, "-m", "prefect")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(
    command_environment: dict[str, str],
    api: str,
    api_password: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, str]]:
    """The variables of a machine of the site, after the commands in the file were run once."""
    site = command_environment | {
        "PREFECT_API_URL": api,
        "PREFECT_API_AUTH_STRING": api_password,
        "PYTHONPATH": str(ROOT),
        "UNSEEN_STORE": str(tmp_path_factory.mktemp("site") / "store"),
        "COLUMNS": "200",
    }
    commands = re.findall(r"^#   (.*)$", FILE.read_text(), re.MULTILINE)
    creation = next(line for line in commands if "work-pool create" in line)
    pools = re.search(r"in ([a-z ]+); do", creation)
    assert pools is not None
    for pool in pools[1].split():
        create = ("work-pool", "create", "--type", "process", "--overwrite", pool)
        output_of(*PREFECT, *create, environment=site, cwd=ROOT)
    deploy = next(line for line in commands if " deploy " in line)
    assert deploy in (ROOT / "docs" / "sites.md").read_text()
    output_of(*PREFECT, *deploy.split()[1:], environment=site, cwd=ROOT)
    yield site
    # With its workers: Prefect takes them for alive a while longer, and later runs would wait.
    for pool in pools[1].split():
        output_of(*PREFECT, "--no-prompt", "work-pool", "delete", pool, environment=site, cwd=ROOT)


@pytest.fixture
def cpu_worker(site: dict[str, str], tmp_path: Path) -> Iterator[Path]:
    """A worker on a machine whose folders are not those of the machine that deployed."""
    words = ("worker", "start", "--type", "process", "--pool", "cpu", "--limit", "1")
    with (tmp_path / "worker.log").open("w") as log:
        process = subprocess.Popen([*PREFECT, *words], env=site, cwd=tmp_path, stderr=log)
        try:
            yield tmp_path / "worker.log"
        finally:
            process.terminate()
            try:
                process.wait(timeout=120)
            except subprocess.TimeoutExpired:  # Prefect's worker does not always hear it
                process.kill()
                process.wait()


def test_the_deployments_file_matches_the_command(site: dict[str, str]) -> None:
    words = ("deployment", "ls", "-o", "json")
    listed = json.loads(output_of(*PREFECT, *words, environment=site, cwd=ROOT))
    flows = {(one["name"], one["entrypoint"]): one["work_pool_name"] for one in listed}
    assert flows == {
        ("cpu", "flows.scene.reconstruct_scene"): "cpu",
        ("gpu", "flows.scene.reconstruct_scene"): "gpu",
        ("datasets", "flows.dataset.reconstruct_dataset"): "datasets",
        ("nightly", "flows.dataset.reconstruct_dataset"): "datasets",
        ("datasets", "flows.dataset.resume_dataset"): "datasets",
        ("cpu", "flows.train_refiner.train_refiner"): "cpu",
        ("gpu", "flows.train_refiner.train_refiner"): "gpu",
    }
    (nightly,) = (one for one in listed if one["schedules"])
    assert nightly["schedules"][0]["schedule"]["cron"] == "0 2 * * *"
    assert not nightly["schedules"][0]["active"]  # until it has a dataset
    assert str(ROOT) not in json.dumps(listed)  # another machine has the sources elsewhere


def test_a_scene_submitted_by_hand_is_run_by_a_worker(
    site: dict[str, str], cpu_worker: Path, photographed: Path
) -> None:
    config = {
        "splat": {"iterations": 100, "max_size": 160},
        "sfm": {"features": {"kind": "sift", "max_features": 2048}},
    }
    parameters = {
        "folder": str(photographed),
        "scene": "by hand",
        "run": "one",
        "config": config | {"split": {"kind": "every_nth", "n": 4}},
    }
    words = ("deployment", "run", "scene/cpu", "--watch", "--params", json.dumps(parameters))
    said = output_of(*PREFECT, *words, environment=site, cwd=cpu_worker.parent)
    assert "Completed" in said
    rows = read_table(Store(root=site["UNSEEN_STORE"]), "scenes", run="one")
    assert rows["scene"].tolist() == ["by hand"]
    assert rows["state"].tolist() == ["completed"]
    assert rows["held_out_photos"].tolist() == [2]


def test_a_form_with_an_invalid_value_is_refused_on_submission(site: dict[str, str]) -> None:
    bad = {"folder": "/x", "scene": "x", "run": "x", "config": {"splat": {"iterations": 0}}}
    ended = subprocess.run(
        [*PREFECT, "deployment", "run", "scene/cpu", "--params", json.dumps(bad)],
        env=site,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode != 0
    assert "0 is less than the minimum of 1" in ended.stdout + ended.stderr
