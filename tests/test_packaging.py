"""The wheel: what is in it, and that it works where the sources are not."""

import os
import shutil
import sys
import sysconfig
import zipfile
from configparser import ConfigParser
from email.parser import Parser
from pathlib import Path

import pytest

from tests.support.commands import output_of

ROOT = Path(__file__).parents[1]
PACKAGES = ("flows", "tasks", "storage")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing of it lands among the sources."""
    sources = tmp_path_factory.mktemp("sources")
    for name in PACKAGES:
        compiled = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, sources / name, ignore=compiled)
    for name in ("pyproject.toml", "README.md", "LICENSE", "constraints.txt"):
        shutil.copy(ROOT / name, sources)
    built = sources / "built"
    command = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", built)
    output_of(*command, cwd=sources)
    (found,) = built.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of an environment that has the wheel, and our libraries beside it."""
    place = tmp_path_factory.mktemp("environment")
    output_of(sys.executable, "-m", "venv", "--without-pip", place, cwd=place)
    install = ("install", "--quiet", "--no-deps", "--no-index", wheel)
    output_of(
        sys.executable, "-m", "pip", "--python", place / "bin" / "python", *install, cwd=place
    )
    (packages,) = (place / "lib").glob("python*/site-packages")
    libraries = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (packages / "libraries.pth").write_text("\n".join(libraries))
    return place / "bin"


def test_the_wheel_holds_every_module_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {
        str(path.relative_to(ROOT)) for name in PACKAGES for path in (ROOT / name).rglob("*.py")
    }
    assert {name for name in names if name.endswith(".py")} == modules
    top = {name.split("/")[0] for name in names}
    assert top == {*PACKAGES, "unseen-0.1.0.dist-info", "unseen-0.1.0.data"}


def test_licence_command_and_constraints_are_in_the_wheel(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    licence = archive.read("unseen-0.1.0.dist-info/licenses/LICENSE")
    assert licence == (ROOT / "LICENSE").read_bytes()
    commands = ConfigParser()
    commands.read_string(archive.read("unseen-0.1.0.dist-info/entry_points.txt").decode())
    assert dict(commands["console_scripts"]) == {"unseen": "flows.cli:main"}
    constraints = archive.read("unseen-0.1.0.data/data/share/unseen/constraints.txt")
    assert constraints == (ROOT / "constraints.txt").read_bytes()


def test_the_wheel_metadata_is_private_and_apache(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    metadata = Parser().parsestr(archive.read("unseen-0.1.0.dist-info/METADATA").decode())
    assert metadata["License-Expression"] == "Apache-2.0"
    assert "Private :: Do Not Upload" in metadata.get_all("Classifier", [])


def test_every_requirement_is_pinned(wheel: Path) -> None:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    archive = zipfile.ZipFile(wheel)
    metadata = Parser().parsestr(archive.read("unseen-0.1.0.dist-info/METADATA").decode())
    needed = {Requirement(text) for text in metadata.get_all("Requires-Dist", [])}
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = {line.partition("==")[0]: line.partition("==")[2] for line in lines if "==" in line}
    pinned = {canonicalize_name(name): version.split()[0] for name, version in pins.items()}
    for requirement in needed:
        version = pinned[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement


def test_the_installed_command_works_without_the_sources(installed: Path, tmp_path: Path) -> None:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "PYTHON", "UNSEEN_"))
    } | {"PREFECT_HOME": str(tmp_path / "prefect"), "PREFECT_SERVER_API_PORT": "9"}
    code = "import flows, tasks, storage; print(flows.__path__, tasks.__path__, storage.__path__)"
    where = output_of(installed / "python", "-c", code, cwd=tmp_path, environment=environment)
    assert where.count(str(installed.parent)) == 3
    help_text = output_of(installed / "unseen", "--help", cwd=tmp_path, environment=environment)
    assert "Reconstruct and evaluate every scene of a dataset" in help_text
    examined = output_of(installed / "unseen", "doctor", cwd=tmp_path, environment=environment)
    assert "everything required is installed" in examined
    assert "constraints.txt" in examined or "(tested: " in examined
    assert "is not installed" not in examined
