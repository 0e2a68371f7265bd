"""The command that renders scenes drawn at random."""

from pathlib import Path

import pytest

from flows.cli import random_scenes
from flows.config import SceneConfig
from flows.runs.manifest import find_scenes
from tasks.ingest.source import digest_source, find_files

pytestmark = pytest.mark.slow


def test_random_scenes_form_a_dataset_and_existing_scenes_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random_scenes(tmp_path, count=1, first=3, max_size=64)
    (first,) = find_scenes(tmp_path, SceneConfig())
    assert str(first.folder) in capsys.readouterr().out
    assert first.config.sfm.poses == "given"
    found = find_files(Path(first.folder))
    assert len(found.given) == len(found.photos) >= 12
    digest = digest_source(Path(first.folder)).digest

    random_scenes(tmp_path, count=2, first=3, max_size=64)
    both = find_scenes(tmp_path, SceneConfig())
    assert digest_source(Path(both[0].folder)).digest == digest
    assert digest_source(Path(both[1].folder)).digest != digest
