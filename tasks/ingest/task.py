from pathlib import Path
from typing import Any

from prefect import task

from storage.handles import ArrayHandle
from tasks.caching import stage_cache, stage_progress
from tasks.ingest.config import IngestConfig
from tasks.ingest.source import Source, check_unchanged
from tasks.runtime.context import Site


@task(name="ingest", task_run_name="ingest/{scene}", **stage_cache("ingest", version=2))
def ingest_photos(scene: str, *, source: Source, config: IngestConfig, site: Site) -> ArrayHandle:
    """See :mod:`tasks.ingest.artefact`."""
    # Late: seconds to import, and a recalled stage needs none of it.
    from tasks.ingest.artefact import PhotosContent

    content = PhotosContent(Path(source.folder), config, stage_progress("ingest"))

    def attributes() -> dict[str, Any]:
        check_unchanged(source)  # all is read now, and nothing is kept yet
        return content.attributes()

    return site.store.commit(scene, "photos", content, attributes)
