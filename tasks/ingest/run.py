"""The ingest stage."""

from pathlib import Path

from storage.handles import ArrayHandle
from storage.store import Writer
from tasks.ingest.artefact import write_photos
from tasks.ingest.config import IngestConfig
from tasks.ingest.source import check_unchanged
from tasks.runtime.context import Context
from tasks.source import Source


def run(out: Writer, context: Context, *, source: Source, config: IngestConfig) -> ArrayHandle:
    """Store the photos of a scene and the cameras, masks and depth maps that came with them.

    Raises:
        InputError: as :func:`tasks.ingest.artefact.write_photos`, or the source changed meanwhile.
        MachineError: the machine failed to read a file.
    """
    attributes = write_photos(out, Path(source.folder), config, context=context)
    check_unchanged(source)  # everything is read now, and nothing is committed yet
    return out.commit(attributes)
