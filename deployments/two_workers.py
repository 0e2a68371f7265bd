"""Rehearsal of a site on one machine: Postgres, S3, a server with a password, and two workers.

    python deployments/two_workers.py [--folder FOLDER] [--scenes 3]

Starts, all on loopback and on free ports: Postgres with a password, Prefect's server on it with
authentication, an S3 server (moto's: the extra 'dev' must be installed), and two workers that share
nothing but that server and that store. Then 'unseen run', as a third machine, has them reconstruct
a few small rendered scenes, once and once again, and what must hold of that is checked. All of it
ends with the script; photos and logs stay only where --folder is given.

Postgres is Debian's package 'postgresql', or any 'initdb' and 'postgres' on the PATH. It refuses to
run as root, so as root it is run as the user 'postgres'.
"""

import argparse
import asyncio
import contextlib
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tasks.procedural.scenes import facade
from tasks.procedural.write import write_scene

LOOPBACK = "127.0.0.1"
BUCKET = "unseen"
STORE = f"s3://{BUCKET}/store"
DATABASE = "postgres"
PHOTOS_A_SCENE = 8
SECONDS_TO_START = 300.0
SECONDS_TO_END = 30.0
SMALL = (
    *(
        "--splat.iterations",
        "100",
        "--splat.max-size",
        "160",
        "--sfm.features.sift.max-features",
        "2048",
    ),
    *("--views.count", "2", "--distil.iterations", "20", "--distil.max_training_photos", "99"),
)
"""A config that exercises everything, at low quality."""
PREFECT = (sys.executable, "-m", "prefect")
UNSEEN = (sys.executable, "-c", "from flows.cli import main; main()")

Environment = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Postgres:
    """The programs of Postgres, and the user who runs them."""

    initdb: Path
    postgres: Path
    user: str | None
    """None for whoever runs this script."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Results of the rehearsal, to be checked."""

    scenes: pd.DataFrame
    """The table ``scenes`` of both runs, as pandas reads it from the object store."""
    scenes_by_worker: Mapping[str, int]
    """Flow runs that each worker started."""
    flow_runs_in_postgres: int
    answer_to_a_stranger: int
    """HTTP status of a request without the password."""
    said_by_verify: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--folder", type=Path, help="for logs and photos; a temporary one if absent"
    )
    parser.add_argument("--scenes", type=int, default=3)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that all started programs end
    postgres = find_postgres()
    if postgres is None:
        sys.exit("two_workers: no Postgres is here; install it with 'apt install postgresql'")
    with _folder(arguments.folder) as folder:
        render_scenes(folder / "photos", arguments.scenes)
        outcome = rehearse(folder, folder / "photos", postgres)
    print(outcome.scenes.to_string())
    print(f"scenes by worker: {dict(outcome.scenes_by_worker)}")
    if faults := faults_of(outcome, scenes=arguments.scenes):
        sys.exit("two_workers: " + "; ".join(faults))
    print("all expectations hold")


def faults_of(outcome: Outcome, *, scenes: int) -> list[str]:
    """Violated expectations, a sentence each."""
    faults = []
    first, second = outcome.scenes.query("run == 'one'"), outcome.scenes.query("run == 'two'")
    for run, rows in (("first", first), ("second", second)):
        if rows["state"].tolist() != ["completed"] * scenes:
            faults.append(f"of the {run} run the scenes are {rows['state'].tolist()}")
    if first["stages_cached"].any():
        faults.append("the first run found stages in a new store")
    if second["stages_computed"].any():
        faults.append("the second run computed stages that were stored")
    if min(outcome.scenes_by_worker.values()) == 0:
        faults.append(f"one worker did nothing: {dict(outcome.scenes_by_worker)}")
    if outcome.flow_runs_in_postgres != 2 * (scenes + 1):
        faults.append(f"Postgres has {outcome.flow_runs_in_postgres} flow runs")
    if outcome.answer_to_a_stranger != 401:
        faults.append(f"the API answered a stranger with {outcome.answer_to_a_stranger}")
    if "no faults found" not in outcome.said_by_verify:
        faults.append(f"'unseen verify' said {outcome.said_by_verify}")
    return faults


def rehearse(folder: Path, photos: Path, postgres: Postgres) -> Outcome:
    """Start a site, run a dataset twice, and end the site.

    Args:
        folder: for logs and what the machines keep.
        photos: of the dataset.
    """
    password = secrets.token_urlsafe(16)
    with contextlib.ExitStack() as site:
        database = site.enter_context(_postgres(postgres, folder))
        keys = site.enter_context(_object_store(folder))
        url = site.enter_context(_prefect_server(folder, database, password))
        known = keys | {
            "PREFECT_API_URL": url,
            "PREFECT_API_AUTH_STRING": f"unseen:{password}",
            "UNSEEN_STORE": STORE,
            "UNSEEN_DEVICE": "cpu",
            "UNSEEN_THREADS": "1",
        }
        machines = {name: _machine(folder, name, known) for name in ("east", "west", "desk")}
        logs = {
            name: site.enter_context(_worker(folder, name, machines[name]))
            for name in ("east", "west")
        }
        desk = machines["desk"]
        for run in ("one", "two"):
            _say(f"run {run}")
            _output_of(*UNSEEN, "run", photos, "--name", run, *SMALL, cwd=folder, environment=desk)
        _say("checking")
        return Outcome(
            scenes=_table("scenes", keys),
            scenes_by_worker={
                name: log.read_text(errors="replace").count("submitted to infrastructure")
                for name, log in logs.items()
            },
            flow_runs_in_postgres=asyncio.run(_count_flow_runs(database)),
            answer_to_a_stranger=_status(f"{url}/work_pools/cpu"),
            said_by_verify=_output_of(*UNSEEN, "verify", cwd=folder, environment=desk),
        )


def find_postgres() -> Postgres | None:
    """Postgres of this machine: on the PATH, or the newest where Debian puts it."""
    user = "postgres" if os.geteuid() == 0 else None
    with contextlib.suppress(KeyError):
        if user is not None:
            pwd.getpwnam(user)
        folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
        path = os.pathsep.join([*map(str, folders), os.environ.get("PATH", "")])
        initdb, postgres = (shutil.which(name, path=path) for name in ("initdb", "postgres"))
        if initdb and postgres:
            return Postgres(initdb=Path(initdb), postgres=Path(postgres), user=user)
    return None


def _version(folder: Path) -> int:
    found = re.search(r"\d+", folder.parent.name)
    return int(found[0]) if found else 0


def render_scenes(photos: Path, count: int) -> None:
    """Scenes of eight small photos each, along the front of a house."""
    _say(f"rendering {count} scenes")
    whole = facade()
    for index in range(count):
        photos_of_part = range(4 * index, 4 * index + PHOTOS_A_SCENE)
        part = whole.excerpt(f"front-{index}", photos_of_part, (320, 240))
        write_scene(part, photos / part.name, lambda done, total: None)


@contextlib.contextmanager
def _folder(wanted: Path | None) -> Iterator[Path]:
    if wanted is not None:
        wanted.mkdir(parents=True, exist_ok=True)
        yield wanted.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="two-workers-") as temporary:
        yield Path(temporary)


@contextlib.contextmanager
def _postgres(found: Postgres, folder: Path) -> Iterator[str]:
    """Its address, password included, as asyncpg takes it."""
    _say("starting Postgres")
    password, port = secrets.token_urlsafe(16), _free_port()
    # Not in the folder: the user that Postgres runs as may not be let into it.
    with tempfile.TemporaryDirectory(prefix="two-workers-postgres-") as own:
        data = Path(own) / "data"
        secret = Path(own) / "password"
        secret.write_text(password)
        if found.user is not None:
            for path in (Path(own), secret):
                shutil.chown(path, found.user)
        initialise = [found.initdb, "-D", data, "-U", "unseen", "-E", "UTF8"]
        initialise += ["--auth=scram-sha-256", f"--pwfile={secret}"]
        _output_of(*initialise, cwd=Path(own), environment=os.environ, user=found.user)
        options = ["-D", data, "-p", port, "-k", own]
        options += ["-c", f"listen_addresses={LOOPBACK}", "-c", "max_connections=200"]
        log = folder / "postgres.log"
        with _running(
            found.postgres,
            *options,
            log=log,
            cwd=Path(own),
            environment=os.environ,
            user=found.user,
            end=signal.SIGINT,  # of Postgres: end without waiting for its clients
        ) as has_ended:
            _wait(lambda: "ready to accept connections" in log.read_text(), has_ended, log)
            yield f"unseen:{password}@{LOOPBACK}:{port}/{DATABASE}"


@contextlib.contextmanager
def _object_store(folder: Path) -> Iterator[dict[str, str]]:
    """An S3 server with a bucket; the variables under which clients find it."""
    import boto3

    _say("starting an S3 server")
    port, log = _free_port(), folder / "s3.log"
    keys = {
        "AWS_ENDPOINT_URL": f"http://{LOOPBACK}:{port}",
        "AWS_ACCESS_KEY_ID": "unseen",
        "AWS_SECRET_ACCESS_KEY": secrets.token_urlsafe(16),
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    words = (sys.executable, "-m", "moto.server", "-H", LOOPBACK, "-p", port)
    with _running(*words, log=log, cwd=folder, environment=_clean()) as has_ended:
        _wait(lambda: _status(keys["AWS_ENDPOINT_URL"]) == 200, has_ended, log)
        boto3.client(
            "s3",
            endpoint_url=keys["AWS_ENDPOINT_URL"],
            aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
            region_name=keys["AWS_DEFAULT_REGION"],
        ).create_bucket(Bucket=BUCKET)
        yield keys


@contextlib.contextmanager
def _prefect_server(folder: Path, database: str, password: str) -> Iterator[str]:
    """API address of a server that requires a password."""
    _say("starting Prefect's server")
    port, log = _free_port(), folder / "server.log"
    url = f"http://{LOOPBACK}:{port}/api"
    environment = _machine(
        folder,
        "server",
        {
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"postgresql+asyncpg://{database}",
            "PREFECT_SERVER_API_AUTH_STRING": f"unseen:{password}",
            "PREFECT_API_AUTH_STRING": f"unseen:{password}",  # of its own services
        },
    )
    words = (*PREFECT, "server", "start", "--host", LOOPBACK, "--port", port)
    with _running(*words, log=log, cwd=folder, environment=environment) as has_ended:
        _wait(lambda: _status(f"{url}/health") == 200, has_ended, log)
        yield url


@contextlib.contextmanager
def _worker(folder: Path, name: str, machine: Environment) -> Iterator[Path]:
    """A worker for one scene at a time; its log."""
    _say(f"starting the worker {name}")
    port = _free_port()
    words = [*PREFECT, "worker", "start", "--type", "process", "--pool", "cpu"]
    words += ["--limit", "1", "--name", name, "--with-healthcheck"]
    log = folder / f"{name}.log"
    own = {"PREFECT_WORKER_WEBSERVER_HOST": LOOPBACK, "PREFECT_WORKER_WEBSERVER_PORT": str(port)}

    def is_up() -> bool:  # it calls itself healthy before it is known to the server
        said = log.read_text(errors="replace")
        return "started!" in said and _status(f"http://{LOOPBACK}:{port}/health") == 200

    running = _running(*words, log=log, cwd=folder / name, environment={**machine, **own})
    with running as has_ended:
        _wait(is_up, has_ended, log)
        yield log


def _machine(folder: Path, name: str, known: Environment) -> dict[str, str]:
    """The variables of one machine, with a folder of its own."""
    home = folder / name
    home.mkdir(exist_ok=True)
    own = {
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_LOGGING_LEVEL": "INFO",
    }
    return _clean() | own | dict(known)


def _clean() -> dict[str, str]:
    """Our variables but for those that name other servers or stores, and with no proxy between."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "UNSEEN_", "AWS_"))
    }
    return kept | {"no_proxy": LOOPBACK, "NO_PROXY": LOOPBACK}


@contextlib.contextmanager
def _running(
    *command: object,
    log: Path,
    cwd: Path,
    environment: Environment,
    user: str | None = None,
    end: signal.Signals = signal.SIGTERM,
) -> Iterator[Callable[[], bool]]:
    """Run a program and its children while the block runs; whether it has ended, as a function."""
    with log.open("w") as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=cwd,
            env=dict(environment),
            user=user,
            start_new_session=True,
        )
    try:
        yield lambda: process.poll() is not None
    finally:
        process.send_signal(end)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=SECONDS_TO_END)
        with contextlib.suppress(ProcessLookupError):  # what is left of its session
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(is_up: Callable[[], bool], has_ended: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while not is_up():
        if has_ended() or time.monotonic() > deadline:
            sys.exit(f"two_workers: {log.name} did not come up: {log.read_text()[-2000:]}")
        time.sleep(0.5)


def _output_of(
    *command: object, cwd: Path, environment: Environment, user: str | None = None
) -> str:
    """What a command that must succeed prints, errors included."""
    ended = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=dict(environment),
        user=user,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if ended.returncode != 0:
        sys.exit(f"two_workers: {command} ended with {ended.returncode}: {ended.stdout}")
    return ended.stdout


def _table(name: str, keys: Environment) -> pd.DataFrame:
    """A table of the store, read as anybody would who has the keys."""
    options = {
        "key": keys["AWS_ACCESS_KEY_ID"],
        "secret": keys["AWS_SECRET_ACCESS_KEY"],
        "endpoint_url": keys["AWS_ENDPOINT_URL"],
    }
    found = pd.read_parquet(f"{STORE}/metrics/{name}", storage_options=options)
    return found.sort_values(["run", "scene"], ignore_index=True)


async def _count_flow_runs(database: str) -> int:
    import asyncpg

    connection = await asyncpg.connect(f"postgresql://{database}")
    try:
        return int(await connection.fetchval("SELECT count(*) FROM flow_run"))
    finally:
        await connection.close()


def _status(url: str) -> int:
    """The status of an answer of HTTP; 0 for none."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _say(sentence: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {sentence}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
