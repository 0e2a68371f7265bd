"""The generated documents are those of the code, and hold what the code has."""

from docs.generate import ALL_STAGES, pages
from flows.config import SceneConfig
from flows.settings import Settings
from storage.tables import TABLES
from tests.support.documents import ROOT


def test_the_generated_documents_are_up_to_date() -> None:
    stale = [
        str(place)
        for place, text in pages().items()
        if (ROOT / place).read_text(encoding="utf-8") != text
    ]
    assert stale == [], "run 'make docs'"


def test_every_field_stage_table_and_column_is_documented() -> None:
    text = "".join(pages().values())
    fields = [f"`{path}`" for path in leaves(SceneConfig().model_dump(), "")]
    fields += [f"`UNSEEN_{name.upper()}`" for name in Settings.model_fields]
    fields += [f"`{name}`" for stage in ALL_STAGES for name in (stage.name, stage.artefact)]
    fields += [f"`{name}`" for table, columns in TABLES.items() for name in (table, *columns)]
    assert len(fields) > 150
    assert [field for field in fields if field not in text] == []


def leaves(values: dict[str, object], path: str) -> list[str]:
    """Paths of all default values, but for the names of kinds."""
    found = []
    for name, value in values.items():
        if isinstance(value, dict):
            found += leaves(value, f"{path}{name}.")
        elif name != "kind":
            found.append(f"{path}{name}")
    return found


def test_bounds_and_defaults_stand_beside_an_option() -> None:
    (options,) = [text for place, text in pages().items() if place.name == "options.md"]
    (row,) = [line for line in options.splitlines() if line.startswith("| `ingest.max_size` ")]
    assert "| integer | `1600` | ≥ 64, ≤ 16,384 |" in row
