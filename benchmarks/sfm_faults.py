"""Scenes with a planted fault, and how structure from motion has to end on each.

    python benchmarks/sfm_faults.py FOLDER [--main SCENE] [--strangers SCENE]

FOLDER becomes a dataset for ``benchmarks/sfm.py``: beside the photos of every scene stands an
``expected.json``. Of the rendered scenes the truth is exact. ``--main`` and ``--strangers`` plant
the faults of mixed and mirrored photos in scenes of your own in place of two rendered ones.
"""

import argparse
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from tasks.procedural.build import Point, ProceduralScene, between, cameras_of, look_at
from tasks.procedural.facade import BRICK, COBBLES, CORNICE, STONE, Window
from tasks.procedural.scenes import facade, orbit
from tasks.procedural.tables import assembled
from tasks.procedural.trace import Solid
from tasks.procedural.write import write_scene

EXPECTED = "expected.json"
WIDTH, HEIGHT, FOCAL_PX = 480, 360, 400.0
MAIN_PHOTOS = range(0, 24, 2)
STRANGERS = range(0, 24, 6)
BAY_M = 2.4
BAYS = 14

Records = Sequence[Mapping[str, Any]]
"""Of ``cameras_gt.json``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """How a scene with a planted fault has to end."""

    fault: str
    groups: tuple[tuple[str, ...], ...]
    """Photos that may be called right together; those of two groups never."""
    least: int
    """How many of one group must be called right, or a good photo was thrown away. 0 where a
    refusal of the scene is an honest end."""

    def write(self, folder: Path) -> None:
        (folder / EXPECTED).write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def read(cls, folder: Path) -> "Expected":
        fields = json.loads((folder / EXPECTED).read_text())
        groups = tuple(tuple(group) for group in fields["groups"])
        return cls(fault=fields["fault"], groups=groups, least=fields["least"])

    def complaints(self, sure: Sequence[str], wrong: Sequence[str]) -> list[str]:
        """What is amiss with an end; nothing where it is as expected.

        Args:
            sure: photos with a pose that is called right.
            wrong: those of them whose pose is known to be wrong.
        """
        found = [f"{len(wrong)} called right but wrong: {', '.join(wrong)}"] if wrong else []
        group = max(self.groups, key=lambda one: len(set(one).intersection(sure)), default=())
        if strangers := [name for name in sure if name not in group]:
            found.append(f"{len(strangers)} called right that must not be: {', '.join(strangers)}")
        kept = len(set(group).intersection(sure))
        if kept < self.least:
            found.append(f"{kept} of {len(group)} good photos called right, at least {self.least}")
        return found


def photos_in(scene: Path) -> list[Path]:
    folder = scene / "images" if (scene / "images").is_dir() else scene
    return sorted(one for one in folder.iterdir() if one.suffix.lower() in (".jpg", ".png"))


def records_of(scene: Path) -> dict[str, dict[str, Any]]:
    """The reference cameras of a scene by photo; none where it has none."""
    file = scene / "cameras_gt.json"
    return {one["image"]: one for one in json.loads(file.read_text())} if file.exists() else {}


def stranger_among(folder: Path, main: Path, strangers: Path, count: int, fault: str) -> Expected:
    """Add ``count`` photos of another place to those of ``main``, evenly spread among them."""
    ours, theirs = photos_in(main), photos_in(strangers)[:count]
    places = np.linspace(0, len(ours) + count, count + 2)[1:-1].astype(int).tolist()
    reference, records, good = records_of(main), [], []
    (folder / "images").mkdir(parents=True)
    for index in range(len(ours) + count):
        source = theirs.pop(0) if index in places else ours.pop(0)
        name = f"{index:04d}{source.suffix}"
        shutil.copy(source, folder / "images" / name)
        if index not in places:
            good.append(name)
            records += [reference[source.name] | {"image": name}] if reference else []
    return _written(folder, records, fault, (good,), least=round(0.8 * len(good)))


def mirrored(folder: Path, main: Path, every: int, fault: str) -> Expected:
    """Mirror one photo of ``every``, left to right; all of them for 1.

    Photos that are all mirrored show a mirrored place, and nothing in them tells: its cameras are
    the truth then, and all photos are right.
    """
    reference, records, good, turned = records_of(main), [], [], []
    (folder / "images").mkdir(parents=True)
    for index, source in enumerate(photos_in(main)):
        target = folder / "images" / source.name
        record = reference.get(source.name)
        if index % every:
            shutil.copy(source, target)
            good.append(source.name)
        else:
            with Image.open(source) as photo:
                ImageOps.mirror(ImageOps.exif_transpose(photo)).save(target, quality=95)
            turned.append(source.name)
            record = mirrored_camera(record) if record and every == 1 else None
        records += [record] if record else []
    group = turned if every == 1 else good
    return _written(folder, records, fault, (group,), least=round(0.8 * len(group)))


def mirrored_camera(record: Mapping[str, Any]) -> dict[str, Any]:
    """Camera of the mirrored photo in the world whose x axis is turned round."""
    mirror = np.diag([-1.0, 1.0, 1.0])
    return {
        **record,
        "cx": record["width"] - record["cx"],
        "R": (mirror @ np.array(record["R"]) @ mirror).tolist(),
        "t": (mirror @ np.array(record["t"])).tolist(),
    }


def one_spot(folder: Path) -> Expected:
    """Photos that a camera takes while it turns about its centre: no depth can be known."""
    views = [((0.0, -9.6, 2.3), (x, 0.0, 3.2)) for x in np.linspace(-5.0, 5.0, 10)]
    _render(replace(facade(), name="one_spot", cameras=_cameras(views)), folder)
    return _written(folder, (), "all photos from one spot", (), least=0)


def gap(folder: Path) -> Expected:
    """A sequence along a street in two groups of six photos that show nothing in common."""
    places = [*np.linspace(-11.0, -7.0, 6), *np.linspace(7.0, 11.0, 6)]
    views = [((x, -5.2, 2.0 + 0.2 * (i % 3)), (x, 0.0, 2.6)) for i, x in enumerate(places)]
    scene = replace(facade(), name="gap", cameras=_cameras(views))
    _render(scene, folder)
    names = scene.cameras.names
    return _expected(folder, "a sequence with a gap", (names[:6], names[6:]), least=5)


def repeated_facade(folder: Path) -> Expected:
    """A walk along a front of equal bays: only the cobbles before it differ.

    A photo and one from a bay further on are nearly equal. A refusal is honest, a fold is not.
    """
    scene = repeated_front()
    _render(scene, folder)
    return _expected(folder, "a repeated facade", (scene.cameras.names,), least=0)


def repeated_front() -> ProceduralScene:
    """The front of equal bays, and a walk along it."""
    first = -0.5 * BAYS * BAY_M
    bays = [solid for i in range(BAYS) for solid in _bay(first + (i + 0.5) * BAY_M)]
    ground = between((-25.0, -18.0, -0.3), (25.0, 0.4, 0.0), COBBLES)
    places = np.linspace(-8.1, 8.1, 10)  # not of the bays' length
    views = [((x, -6.0, 2.4 + 0.15 * (i % 3)), (x, 0.0, 1.9)) for i, x in enumerate(places)]
    return replace(
        facade(), name="repeated", solids=(ground, *bays), cameras=_cameras(views), bounces=1
    )


def _bay(x: float) -> list[Solid]:
    half = BAY_M / 2
    things = (
        between((x - half, 0.0, 0.0), (x + half, 1.0, 7.6), BRICK),
        between((x - half, -0.06, 0.0), (x + half, 0.0, 0.5), STONE),
        between((x - half, -0.12, 3.35), (x + half, 0.0, 3.6), CORNICE),
        Window((x, 0.0, 1.85), 1.2, 1.7),
        Window((x, 0.0, 5.25), 1.1, 1.7),
    )
    return [replace(one, texture=10_000 + i) for i, one in enumerate(assembled(things, seed=0))]


def _cameras(views: Sequence[tuple[Point, Point]]) -> Any:
    return cameras_of([look_at(*view) for view in views], FOCAL_PX, WIDTH, HEIGHT)


def _render(scene: ProceduralScene, folder: Path) -> None:
    write_scene(scene, folder, lambda done, total: None, strata=4)


def _written(
    folder: Path, records: Records, fault: str, groups: Sequence[Sequence[str]], *, least: int
) -> Expected:
    """As :func:`_expected`, with the reference cameras of those photos that have one."""
    if records:
        (folder / "cameras_gt.json").write_text(json.dumps(list(records), indent=1))
    else:
        (folder / "cameras_gt.json").unlink(missing_ok=True)
    return _expected(folder, fault, groups, least=least)


def _expected(folder: Path, fault: str, groups: Sequence[Sequence[str]], *, least: int) -> Expected:
    expected = Expected(fault=fault, groups=tuple(map(tuple, groups)), least=least)
    expected.write(folder)
    return expected


def rendered_main(folder: Path) -> Path:
    """Twelve photos of a house front."""
    _render(facade().excerpt("main", MAIN_PHOTOS, (WIDTH, HEIGHT)), folder)
    return folder


def rendered_strangers(folder: Path) -> Path:
    """Four photos of another place."""
    _render(orbit().excerpt("strangers", STRANGERS, (WIDTH, HEIGHT)), folder)
    return folder


def faults(main: Path, strangers: Path) -> dict[str, Callable[[Path], Expected]]:
    """What writes each scene with a fault, by its name."""
    fifth = max(round(len(photos_in(main)) / 4), 2)  # a fifth of all
    return {
        "stranger": lambda to: stranger_among(to, main, strangers, 1, "a photo of another place"),
        "fifth": lambda to: stranger_among(to, main, strangers, fifth, "20 % of another place"),
        "one_spot": one_spot,
        "mirrored_some": lambda to: mirrored(to, main, 4, "a quarter of the photos mirrored"),
        "mirrored_all": lambda to: mirrored(to, main, 1, "all photos mirrored"),
        "repeated": repeated_facade,
        "gap": gap,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--main", type=Path, help="a scene to plant in; default: rendered")
    parser.add_argument("--strangers", type=Path, help="a scene of another place")
    options = parser.parse_args()
    sources = options.folder.with_name(f"{options.folder.name}-sources")
    found = faults(
        options.main or rendered_main(sources / "main"),
        options.strangers or rendered_strangers(sources / "strangers"),
    )
    for name, write in found.items():
        if not (options.folder / name / EXPECTED).exists():
            shutil.rmtree(options.folder / name, ignore_errors=True)
            print(name, write(options.folder / name).fault, flush=True)


if __name__ == "__main__":
    main()
