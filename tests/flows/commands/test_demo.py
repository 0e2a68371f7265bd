"""The demo's dataset, its photos a tenth of the size."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from flows.commands import demo
from flows.commands.demo import demo_config, render_demo
from flows.runs.manifest import find_scenes
from tasks.procedural.build import PHOTO_COUNT, ProceduralScene
from tasks.procedural.write import write_scene
from tasks.splat.config import EveryNth, TrainOn


def small(make: Callable[[], ProceduralScene]) -> Callable[[], ProceduralScene]:
    def made() -> ProceduralScene:
        scene = make()
        return scene.excerpt(scene.name, range(PHOTO_COUNT), (48, 36))

    return made


def test_demo_scenes_are_found_with_their_training_photos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("facade", "interior", "orbit"):
        monkeypatch.setattr(demo, name, small(getattr(demo, name)))
    monkeypatch.setattr(demo, "write_scene", partial(write_scene, strata=1))
    dataset = render_demo(tmp_path)
    assert "rendering orbit" in capsys.readouterr().err
    trained_on: dict[str, int] = {}
    for scene in find_scenes(dataset, demo_config()):
        photos = {path.name for path in (dataset / scene.name / "images").iterdir()}
        assert len(photos) == PHOTO_COUNT
        if isinstance(split := scene.config.split, TrainOn):
            assert set(split.photos) < photos
            trained_on[scene.name] = len(set(split.photos))
        else:
            assert (scene.name, split) == ("orbit", EveryNth())
    assert trained_on == {"facade": 9, "interior": 5}
