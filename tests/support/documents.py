"""The documents of the project, and the blocks of code in them."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))


def blocks(text: str, language: str) -> list[str]:
    """Fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def prose(text: str) -> str:
    """A document without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def section(text: str, heading: str) -> str:
    """From a heading of level 2 or below to the next of its level or above."""
    level = heading.split(" ")[0]
    found = re.search(
        rf"^{re.escape(heading)}\n(.*?)(?=^#{{2,{len(level)}}} |\Z)", text, re.MULTILINE | re.DOTALL
    )
    assert found, heading
    return found.group(1)


def apply_blocks(text: str, folder: Path) -> list[str]:
    """Apply a document's changes of code below ``folder``; the paths of the files touched.

    A Python block whose first line is ``# <path>`` is a new file, a ``diff`` block changes a file.
    """
    touched = []
    for block in blocks(text, "python"):
        first, _, content = block.partition("\n")
        path = folder / first.removeprefix("# ")
        assert not path.exists(), path
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")
        touched.append(first.removeprefix("# "))
    for block in blocks(text, "diff"):
        subprocess.run(["git", "apply", "-"], cwd=folder, input=block, text=True, check=True)
        touched += re.findall(r"^\+\+\+ b/(.*)$", block, re.MULTILINE)
    return touched
