"""Overhead of running many scenes, beside the work in them, and its growth with their number.

    python benchmarks/orchestration.py [--scenes 10 50 200] [--until STAGE] [--max-concurrent N]
                                       [--folder FOLDER] [--markdown TABLE.md] [--json FIGURES.json]

For each number of scenes: a dataset of so many copies of one small scene (eight photos of a
rendered house front, with their cameras), a Prefect server with a home and an sqlite database of
its own, and 'unseen run' twice. The stages do as little as they can: points for given cameras, a
splat of one iteration at 16 pixels. The second pass recalls everything.

CPU seconds are not sampled. Those of the command come from wait4, which counts every process that
was waited for: the command waits for its worker, and the worker for the scenes. Those of the
server, which outlives the command, are the difference of its own clock. Memory is the largest
resident set of that one process, sampled.

The overhead of a scene lies between two bounds: all CPU time of the pass, the stages' own included,
and that time less the seconds that its stages took. The second is right on an idle machine alone;
where others want the cores, their waiting is in those seconds, and it comes out too low. What
stages load first, such as torch, is in their seconds, too. In the second pass no stage computes,
and the two differ by little more than the checking of digests.
"""

import argparse
import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from flows.settings import shared_cores, usable_cores
from storage.metrics import read_table
from storage.store import Store
from tasks.procedural.scenes import facade
from tasks.procedural.write import write_scene

ROOT = Path(__file__).parents[1]
PHOTO_SIZE = (320, 240)
LITTLE_WORK = {
    "sfm": {"poses": "given", "features": {"kind": "sift", "max_features": 512}},
    "splat": {"iterations": 1, "max_size": 16, "init": {"kind": "points"}},
    "views": {"count": 1},
    "distil": {"iterations": 1, "max_training_photos": 1000},
}
SECONDS_BETWEEN_SAMPLES = 0.2
SECONDS_TO_SETTLE = 10.0
"""Delay with which the server writes the final states of task runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One run of a dataset; task runs and the database are those of all passes so far."""

    scenes: int
    cached: bool
    wall_s: float
    command_cpu_s: float
    """CPU seconds of the command, its worker and all its scenes."""
    server_cpu_s: float
    stages_s: float
    """Sum of the stages' seconds over all scenes."""
    task_runs: int
    database_mib: float
    server_peak_mib: float
    parent_peak_mib: float

    @property
    def wall_s_a_scene(self) -> float:
        return self.wall_s / self.scenes

    @property
    def cpu_s_a_scene(self) -> float:
        return (self.command_cpu_s + self.server_cpu_s) / self.scenes

    @property
    def cpu_s_beside_stages_a_scene(self) -> float:
        return self.cpu_s_a_scene - self.stages_s / self.scenes


def measure(folder: Path, scene: Path, count: int, arguments: Sequence[str]) -> Iterator[Pass]:
    """Run a dataset of copies of a scene, then run it again.

    Args:
        folder: for the dataset, the store and Prefect's home; must not exist.
        scene: folder of the photos.
        arguments: of ``unseen run``.
    """
    dataset, store = folder / "photos", folder / "store"
    for index in range(count):
        shutil.copytree(scene, dataset / f"scene-{index:03d}")
    environment = _environment(folder / "home")
    with _server(environment) as (server, url):
        for name in ("first", "second"):
            command = ["run", str(dataset), "--store", str(store), "--name", name, *arguments]
            with _log(folder / f"{name}.log") as log:
                clock_s, started = _cpu_s(server), time.monotonic()
                process = subprocess.Popen(
                    _unseen(command), env=environment, stdout=log, stderr=log
                )
                with Peaks(server.pid, process.pid) as peaks:
                    _, status, usage = os.wait4(process.pid, 0)
                wall_s = time.monotonic() - started
                process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                said = (folder / f"{name}.log").read_text()[-2000:]
                sys.exit(f"'unseen {' '.join(command)}' ended with {process.returncode}:\n{said}")
            stages = read_table(Store(root=str(store)), "stages", run=name)
            cached = bool(stages["cached"].all())
            if cached != (name == "second"):
                sys.exit(f"the {name} pass computed {int((~stages['cached']).sum())} stages")
            task_runs = _settled_count(url, folder / "home")
            yield Pass(
                scenes=count,
                cached=cached,
                wall_s=wall_s,
                command_cpu_s=usage.ru_utime + usage.ru_stime,
                server_cpu_s=_cpu_s(server) - clock_s,
                stages_s=float(stages["seconds"].sum()),
                task_runs=task_runs,
                database_mib=_database_mib(folder / "home"),
                server_peak_mib=peaks.mib[server.pid],
                parent_peak_mib=peaks.mib[process.pid],
            )


class Peaks:
    """The largest resident set of some processes while the block runs, by sampling."""

    def __init__(self, *pids: int) -> None:
        self.mib = dict.fromkeys(pids, 0.0)
        self._ended = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "Peaks":
        self._sampler.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._sampler.join()

    def _sample(self) -> None:
        processes = [psutil.Process(pid) for pid in self.mib]
        while not self._ended.wait(SECONDS_BETWEEN_SAMPLES):
            for one in processes:
                try:
                    resident = one.memory_info().rss / 2**20
                except psutil.Error:  # it has ended
                    continue
                self.mib[one.pid] = max(self.mib[one.pid], resident)


@contextmanager
def _server(environment: dict[str, str]) -> Iterator[tuple[psutil.Process, str]]:
    """A server as 'unseen run' starts it, which the command then finds; its process and API."""
    code = (
        "from flows.orchestration.server import find_or_start_api; print(find_or_start_api().url)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    server = psutil.Process(int((Path(environment["PREFECT_HOME"]) / "server.pid").read_text()))
    try:
        yield server, said.stdout.split()[-1]
    finally:
        server.terminate()
        psutil.wait_procs([server], timeout=30)


@contextmanager
def _log(file: Path) -> Iterator[Any]:
    with file.open("wb") as log:
        yield log


def _environment(home: Path) -> dict[str, str]:
    """Environment in which no other server is found."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    path = os.pathsep.join([str(ROOT), *filter(None, [kept.get("PYTHONPATH")])])
    ours = {"PREFECT_HOME": str(home), "PREFECT_SERVER_API_PORT": str(port), "PYTHONPATH": path}
    return kept | ours


def _unseen(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-c", "from flows.cli import main; main()", *arguments]


def _cpu_s(process: psutil.Process) -> float:
    """CPU seconds of a process and of the children it has waited for."""
    return sum(process.cpu_times()[:4])


def _settled_count(url: str, home: Path) -> int:
    """Number of task runs on the server, once it has stopped growing."""
    before = -1
    while (now := _count(url, home)) != before:
        before = now
        time.sleep(SECONDS_TO_SETTLE)
    return now


def _count(url: str, home: Path) -> int:
    password = (home / "unseen-server-password").read_bytes().strip()
    request = urllib.request.Request(
        f"{url}/task_runs/count",
        data=b"{}",
        headers={
            "Content-Type": "application/json",
            "Authorization": f"Basic {base64.b64encode(password).decode()}",
        },
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        return int(reply.read())


def _database_mib(home: Path) -> float:
    """Size of the database with its write-ahead log."""
    return sum(file.stat().st_size for file in home.glob("prefect.db*")) / 2**20


def little_scene(folder: Path) -> Path:
    """Render eight small photos with their cameras into a folder of scenes."""
    scene = facade().excerpt("front", range(8, 16), PHOTO_SIZE)
    write_scene(scene, folder / scene.name, lambda done, total: None)
    return folder / scene.name


def table(passes: Sequence[Pass]) -> str:
    """Markdown table, one row per pass."""
    titles = (
        *("scenes", "pass", "wall, s", "wall a scene, s", "CPU a scene, s"),
        *("of the server, s", "stages a scene, s", "CPU beside stages, s"),
        *("task runs", "database, MiB", "server, MiB", "parent, MiB"),
    )
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    for one in passes:
        cells = (
            str(one.scenes),
            "cached" if one.cached else "first",
            f"{one.wall_s:.0f}",
            f"{one.wall_s_a_scene:.2f}",
            f"{one.cpu_s_a_scene:.2f}",
            f"{one.server_cpu_s / one.scenes:.2f}",
            f"{one.stages_s / one.scenes:.2f}",
            f"{one.cpu_s_beside_stages_a_scene:.2f}",
            str(one.task_runs),
            f"{one.database_mib:.1f}",
            f"{one.server_peak_mib:.0f}",
            f"{one.parent_peak_mib:.0f}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scenes", nargs="+", type=int, default=[10, 50, 200])
    parser.add_argument("--until", default="splat", help="the last stage that runs")
    parser.add_argument("--max-concurrent", type=int, default=0, help="0 as 'unseen run' has it")
    parser.add_argument("--folder", type=Path, help="for all that is written; kept")
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    config = LITTLE_WORK | {"stages": {"until": options.until}}
    passes: list[Pass] = []
    with tempfile.TemporaryDirectory(prefix="unseen-orchestration-") as passing:
        folder = options.folder or Path(passing)
        print("compiling the kernels, once for an environment ...", flush=True)
        subprocess.run(_unseen(["warm-up"]), env=_environment(folder / "home"), check=True)
        print("rendering the scene ...", flush=True)
        scene = little_scene(folder)
        (folder / "config.yaml").write_text(json.dumps(config))  # JSON is YAML
        arguments = [
            "--config",
            str(folder / "config.yaml"),
            "--max-concurrent",
            str(options.max_concurrent),
        ]
        for count in options.scenes:
            print(f"{count} scenes ...", flush=True)
            for one in measure(folder / str(count), scene, count, arguments):
                passes.append(one)
                print(f"\n{usable_cores()} cores\n\n{table(passes)}", flush=True)
                if options.markdown:
                    options.markdown.write_text(table(passes))
                if options.json:
                    figures = {
                        "cores": usable_cores(),
                        "max_concurrent": shared_cores(0, options.max_concurrent)[1],
                        "config": config,
                        "passes": [asdict(one) for one in passes],
                    }
                    options.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
