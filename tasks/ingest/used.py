"""What was used of a scene's input, in words: nothing of it is read or passed over in silence."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from storage.names import showable
from tasks.ingest.folder import Rejected
from tasks.ingest.source import SceneFiles

NAMES_SHOWN = 12
"""Most photos that one line names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What became of a scene's photos."""

    names: Sequence[str]
    """Of the photos that are stored."""
    rejected: Sequence[Rejected]
    with_camera: Collection[str]
    with_mask: Collection[str]
    with_depth: Collection[str]
    remarks: Sequence[str]
    """Of all photos."""
    remarks_by_photo: Mapping[str, Sequence[str]]


def used_lines(files: SceneFiles, used: Used) -> list[str]:
    """Lines ``topic: what was used``, for the log and the tables."""
    lines = [f"cameras: {_cameras(files, used)}"]
    without = [name for name in used.names if name not in used.with_camera]
    if used.with_camera and without:
        lines.append(f"cameras: no camera is given for {_named(without)}")
    source = "frames of video" if files.kind == "video" else "photos"
    place = f" from {files.place}/" if files.place else ""
    lines.append(f"photos: {len(used.names)} {source} read{place}")
    if used.rejected:
        # The kind of a reason stands before its colon.
        reasons = [f"{one.name} ({one.reason.split(':')[0]})" for one in used.rejected]
        lines.append(f"photos: {len(used.rejected)} left out: {_named(reasons)}")
    lines += [f"photos: {line}" for line in _by_remark(used)]
    lines += [f"photos: {remark}" for remark in (*used.remarks, *files.remarks)]
    for topic, having in (("masks", used.with_mask), ("depth maps", used.with_depth)):
        if having:
            line = f"{topic}: of {len(having)} of {len(used.names)} photos"
            lacking = [name for name in used.names if name not in having]
            lines.append(f"{line}, none of {_named(lacking)}" if lacking else line)
    return list(map(showable, lines))


def _cameras(files: SceneFiles, used: Used) -> str:
    ignored = f"; not used: {', '.join(files.reference_ignored)}" * bool(files.reference_ignored)
    if files.reference_kind is None:
        return f"none given, so they are estimated{ignored}"
    given = f"{files.reference_title} ({len(files.given)} cameras)"
    if not used.with_camera:
        return f"{given} gives none of a photo that is there, so they are estimated{ignored}"
    kind = "references" if files.reference_kind == "cameras_gt" else "given"
    return f"{kind} by {given}, for {len(used.with_camera)} of {len(used.names)} photos{ignored}"


def _by_remark(used: Used) -> list[str]:
    photos: dict[str, list[str]] = {}
    for name, remarks in used.remarks_by_photo.items():
        for remark in remarks:
            photos.setdefault(remark, []).append(name)
    return [
        f"{len(names)} {remark}: {'all' if len(names) == len(used.names) else _named(names)}"
        for remark, names in photos.items()
    ]


def _named(names: Sequence[str]) -> str:
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
