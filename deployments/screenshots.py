"""Pictures of Prefect's UI as 'unseen serve' fills it, taken by a headless Chromium.

    python deployments/screenshots.py [DATASET] [--into docs/ui] [--full]

Starts 'unseen serve' in a home of its own, on loopback and a free port, has it run a dataset, and
photographs the dataset's run, the run of a scene that completed and of one that failed, the pages
of both, and the form that starts a run. Everything ends with the script, and only the pictures
stay. Without a dataset it takes one of two scenes: eight small photos rendered here, and files that
are no photos. Scenes are done small and fast, unless --full leaves the config as it is.

Chromium is Debian's package 'chromium', or any 'chromium' or 'google-chrome' on the PATH.
"""

import argparse
import base64
import contextlib
import io
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from tasks.procedural.scenes import facade
from tasks.procedural.write import write_scene

LOOPBACK = "127.0.0.1"
ROOT = Path(__file__).parents[1]
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
SMALL = (
    *(
        "--splat.iterations",
        "300",
        "--splat.max-size",
        "240",
        "--sfm.features.sift.max-features",
        "2048",
    ),
    *("--views.count", "3", "--distil.iterations", "60", "--distil.max_training_photos", "99"),
)
"""A config that exercises everything, at low quality."""
WIDTH, HEIGHT, TALLEST = 1280, 860, 2600
MAX_PICTURE_BYTES = 150_000
SECONDS_TO_START = 300.0
SECONDS_TO_SHOW = 600.0
SECONDS_TO_RUN = 7200.0
SECONDS_TO_END = 60.0
ENDS = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("dataset", type=Path, nargs="?", help="a folder of scenes, or a manifest")
    parser.add_argument("--into", type=Path, default=ROOT / "docs" / "ui", help="for the pictures")
    parser.add_argument("--full", action="store_true", help="with the config as it is")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that all started programs end
    program = find_chromium()
    if program is None:
        sys.exit("screenshots: no Chromium is here; install it with 'apt install chromium'")
    with tempfile.TemporaryDirectory(prefix="screenshots-") as temporary:
        folder = Path(temporary)
        dataset = arguments.dataset or render_dataset(folder / "photos")
        config = () if arguments.full else SMALL
        with serving(dataset.absolute(), folder, config) as ui, chromium(program) as page:
            _say("running the dataset, which takes minutes")
            run = ui.run_dataset()
            for file in photograph_ui(ui, page, run, arguments.into):
                print(f"{file}: {file.stat().st_size} bytes")


def render_dataset(folder: Path) -> Path:
    """A scene of eight small photos of a house front, and one of files that are no photos."""
    _say("rendering a scene")
    part = facade().excerpt("front", range(8, 16), (320, 240))
    write_scene(part, folder / part.name, lambda done, total: None)
    (folder / "garbled").mkdir()
    for index in range(4):
        (folder / "garbled" / f"{index}.jpg").write_text("no photo")
    return folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Ui:
    """A Prefect server's pages, and the API behind them."""

    url: str
    password: str = field(repr=False)
    """User and password, as the server wrote them into its home."""

    def page(self, path: str) -> str:
        return f"{self.url}/v2/{path}"

    def ask(self, method: str, path: str, data: Mapping[str, Any] | None = None) -> Any:
        """The answer of the API; repeated while a busy server fails."""
        request = urllib.request.Request(
            f"{self.url}/api/{urllib.parse.quote(path)}",
            method=method,
            data=None if data is None else json.dumps(data).encode(),
            headers={
                "Content-Type": "application/json",
                "Authorization": f"Basic {base64.b64encode(self.password.encode()).decode()}",
            },
        )
        answers: list[Any] = []

        def has_answered() -> bool:
            try:
                with _opener().open(request, timeout=SECONDS_TO_SHOW) as answer:
                    answers.append(json.load(answer))
            except urllib.error.HTTPError as error:
                if error.code < 500:
                    raise
            except OSError:
                return False
            return bool(answers)

        _wait(has_answered, f"the server to answer {method} {path}", SECONDS_TO_SHOW, pause=2.0)
        return answers[0]

    def run_dataset(self) -> dict[str, Any]:
        """Run the served dataset now, as by its schedule; the ended flow run."""
        named = {"deployments": {"name": {"like_": "scheduled "}}}
        (found,) = self.ask("POST", "deployments/filter", named)
        once = {"idempotency_key": "screenshots"}  # one run, even if the request is repeated
        made = self.ask("POST", f"deployments/{found['id']}/create_flow_run", once)
        return self._ended(made["id"])

    def scenes(self, run: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The flow runs of a dataset run's scenes, by name."""
        tagged = {"flow_runs": {"tags": {"all_": [f"run:{run['name']}"]}}}
        found: list[dict[str, Any]] = self.ask("POST", "flow_runs/filter", tagged)
        return sorted(found, key=lambda one: str(one["name"]))

    def artifact(self, run: Mapping[str, Any]) -> str:
        """The identity of a flow run's own page; a busy server may have several of it."""
        pages = {"flow_run_id": {"any_": [run["id"]]}, "type": {"any_": ["markdown"]}}
        query = {"artifacts": pages, "sort": "CREATED_DESC"}
        return str(self.ask("POST", "artifacts/filter", query)[0]["id"])

    def _ended(self, identity: str) -> dict[str, Any]:
        seen: dict[str, Any] = {}

        def has_ended() -> bool:
            seen.update(self.ask("GET", f"flow_runs/{identity}"))
            return seen["state_type"] in ENDS

        _wait(has_ended, "the run of the dataset to end", SECONDS_TO_RUN, pause=2.0)
        return seen


def photograph_ui(ui: Ui, page: "Page", run: Mapping[str, Any], folder: Path) -> Iterator[Path]:
    """Photograph what a dataset's run has filled the UI with; the files, one by one."""
    folder.mkdir(parents=True, exist_ok=True)
    scenes = ui.scenes(run)
    form = ui.ask("GET", "deployments/name/dataset/datasets")["id"]
    places = {
        "dataset-run": (f"runs/flow-run/{run['id']}?tab=SubflowRuns", scenes[0]["name"]),
        "dataset-page": (f"artifacts/artifact/{ui.artifact(run)}", "scenes completed"),
        "form": (f"deployments/deployment/{form}/run", "config"),
    }
    for ending in ("completed", "failed"):
        for scene in scenes:
            if scene["state_type"] == ending.upper():
                places[f"scene-{ending}"] = (f"runs/flow-run/{scene['id']}?tab=Logs", "Finished in")
                artifact = ui.artifact(scene)
                places[f"scene-{ending}-page"] = (f"artifacts/artifact/{artifact}", run["name"])
                break
    page.log_in(ui)
    for name, (path, words) in places.items():
        page.open(ui.page(path), words)
        yield page.photograph(folder, name)


@contextlib.contextmanager
def serving(dataset: Path, folder: Path, config: tuple[str, ...]) -> Iterator[Ui]:
    """'unseen serve' while the block runs, in a home of its own."""
    _say("starting 'unseen serve'")
    port, log = free_port(), folder / "serve.log"
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "UNSEEN_"))
    }
    environment |= {
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_API_PORT": str(port),
        "UNSEEN_DEVICE": os.environ.get("UNSEEN_DEVICE", "auto"),
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    words = [
        "serve",
        str(dataset),
        "--store",
        str(folder / "store"),
        "--max-concurrent",
        "1",
        *config,
    ]
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", "from flows.cli import main; main()", *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
        )

    def is_up() -> bool:
        if process.poll() is not None:
            sys.exit(f"screenshots: 'unseen serve' ended: {log.read_text()[-2000:]}")
        return "serving until" in log.read_text()

    try:
        _wait(is_up, "'unseen serve' to come up", SECONDS_TO_START)
        secret = (folder / "prefect" / "unseen-server-password").read_text().strip()
        yield Ui(url=f"http://{LOOPBACK}:{port}", password=secret)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=SECONDS_TO_END)
        with contextlib.suppress(ProcessLookupError):  # what is left of its session
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def find_chromium() -> str | None:
    """A Chromium on the PATH."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


@contextlib.contextmanager
def chromium(program: str) -> Iterator["Page"]:
    """A page of a headless Chromium that runs while the block does."""
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        words = [program, "--headless=new", "--remote-debugging-port=0", "--disable-gpu"]
        words += [f"--user-data-dir={profile}", "--no-first-run", "--hide-scrollbars"]
        words += ["--no-proxy-server", "--disable-background-networking"]
        if os.geteuid() == 0:
            words.append("--no-sandbox")  # which root cannot have
        process = subprocess.Popen(
            [*words, "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            port_file = Path(profile) / "DevToolsActivePort"
            _wait(
                lambda: port_file.exists() and "\n" in port_file.read_text(),
                "Chromium",
                SECONDS_TO_START,
            )
            port = port_file.read_text().split()[0]
            new = urllib.request.Request(
                f"http://{LOOPBACK}:{port}/json/new?about:blank", method="PUT"
            )
            with _opener().open(new, timeout=SECONDS_TO_SHOW) as answer:
                address = json.load(answer)["webSocketDebuggerUrl"]
            with connect(address, max_size=None, proxy=None) as connection:
                yield Page(connection=connection)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A tab of Chromium, by the Chrome DevTools Protocol."""

    connection: Connection
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def open(self, url: str, words: str) -> None:
        """Go to an address, and wait until its text has some words and its picture stands still."""
        self._resize(HEIGHT)
        self._ask("Page.navigate", url=url)
        _wait(lambda: words in self.text(), f"'{words}' on {url}", SECONDS_TO_SHOW)
        self._stand_still()
        height = self._evaluate(
            "Math.max(...[...document.querySelectorAll('*')].map(one => one.scrollHeight))"
        )
        self._resize(min(max(int(height), HEIGHT), TALLEST))
        self._stand_still()

    def log_in(self, ui: Ui) -> None:
        """Give the UI its password, as a person does; the tab keeps it."""
        self._ask("Page.navigate", url=ui.page("login"))
        _wait(lambda: "Login" in self.text(), "the UI's login", SECONDS_TO_SHOW)
        self._evaluate("document.querySelector('input[type=password]').focus()")
        self._ask("Input.insertText", text=ui.password)
        self._evaluate("document.querySelector('button[type=submit]').click()")
        _wait(
            lambda: "/login" not in str(self._evaluate("location.pathname")),
            "the UI to take the password",
            SECONDS_TO_SHOW,
        )

    def text(self) -> str:
        """The visible text."""
        return str(self._evaluate("document.body ? document.body.innerText : ''"))

    def photograph(self, folder: Path, name: str) -> Path:
        """A small picture: a PNG of few colours, or where photos make that too large a JPEG."""
        picture = Image.open(io.BytesIO(self._capture())).convert("RGB")
        file = folder / f"{name}.png"
        picture.quantize(256).save(file, optimize=True)
        for quality in (85, 70, 55, 40):
            if file.stat().st_size <= MAX_PICTURE_BYTES:
                break
            file.unlink()
            file = folder / f"{name}.jpg"
            picture.save(file, quality=quality)
        return file

    def _stand_still(self) -> None:
        before, deadline = b"", time.monotonic() + SECONDS_TO_SHOW
        while (now := self._capture()) != before and time.monotonic() < deadline:
            before = now
            time.sleep(2.0)

    def _resize(self, height: int) -> None:
        self._ask(
            "Emulation.setDeviceMetricsOverride",
            width=WIDTH,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def _capture(self) -> bytes:
        return base64.b64decode(self._ask("Page.captureScreenshot", format="png")["data"])

    def _evaluate(self, script: str) -> Any:
        answer = self._ask("Runtime.evaluate", expression=script, returnByValue=True)
        return answer["result"].get("value")

    def _ask(self, method: str, **parameters: Any) -> Any:
        number = next(self.numbers)
        request = {"id": number, "method": method, "params": parameters}
        self.connection.send(json.dumps(request))
        while True:
            answer = json.loads(self.connection.recv(timeout=SECONDS_TO_SHOW))
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"Chromium refused {method}: {answer['error']}")
                return answer["result"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _opener() -> urllib.request.OpenerDirector:
    """For loopback, with no proxy between."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _wait(until: Callable[[], bool], what: str, seconds: float, *, pause: float = 0.5) -> None:
    deadline = time.monotonic() + seconds
    while not until():
        if time.monotonic() > deadline:
            sys.exit(f"screenshots: waited {seconds:.0f} s for {what}")
        time.sleep(pause)


def _say(sentence: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {sentence}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
