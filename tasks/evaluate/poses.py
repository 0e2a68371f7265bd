"""What a reconstruction says of its poses, beside what the reference cameras say of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from storage.handles import ArrayHandle
from tasks.metrics.poses import PoseErrors


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseEvidence:
    """The reconstruction's own evidence for its poses, by photo; empty where it has none."""

    confidence: Mapping[str, float] = field(default_factory=dict)
    """0 to 1."""
    sure: Mapping[str, bool] | None = None
    """None where no pose was assessed."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Why a photo has no pose."""


def read_evidence(sparse: ArrayHandle) -> PoseEvidence:
    """The evidence in a stored reconstruction; see :mod:`tasks.sfm.artefact`."""
    attributes = sparse.attributes
    names, sure = attributes["names"], attributes["sure"]
    left_out = dict(attributes["left_out"])
    if sure is None:  # given poses are not assessed
        return PoseEvidence(left_out=left_out)
    return PoseEvidence(
        confidence=dict(zip(names, sparse.array("pose_confidence").tolist(), strict=True)),
        sure=dict(zip(names, sure, strict=True)),
        left_out=left_out,
    )


def pose_rows(
    photos: Sequence[str], errors: PoseErrors | None, evidence: PoseEvidence
) -> list[dict[str, Any]]:
    """Rows of the table ``poses``, JSON-able: one a photo.

    Args:
        photos: names of all usable photos.
        errors: None without reference cameras.
    """
    judged: dict[str, dict[str, Any]] = {}
    if errors is not None:
        judged = {name: {"verdict": "missing"} for name in errors.missing}
        for index, name in enumerate(errors.names):
            judged[name] = {"verdict": _verdict(errors, index)}
            if errors.reference_from_model is not None:
                judged[name] |= {
                    "rotation_error_deg": float(errors.rotation_error_deg[index]),
                    "centre_error": float(errors.centre_error[index]),
                    "centre_error_relative": float(errors.centre_error_relative[index]),
                }
    nothing = dict.fromkeys(
        ("verdict", "rotation_error_deg", "centre_error", "centre_error_relative")
    )
    return [
        {
            "view": name,
            **nothing,
            **judged.get(name, {}),
            "pose_confidence": evidence.confidence.get(name),
            "sure": (evidence.sure or {}).get(name),
            "left_out": evidence.left_out.get(name),
        }
        for name in photos
    ]


def _verdict(errors: PoseErrors, index: int) -> str | None:
    if errors.unjudged:
        return None
    return "right" if errors.right[index] else "wrong"
