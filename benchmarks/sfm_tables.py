"""Tables of ``benchmarks/sfm.py``."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

CONFIDENCES = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99, 1.01)
"""Edges of the ranges of which the calibration is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One run of one system on some photos of a scene."""

    scene: str
    photos: int
    whole: bool
    which: int
    seed: int
    system: str
    has_truth: bool
    registered: int
    right: int
    wrong: tuple[str, ...]
    sure: int
    """Photos whose pose is called right."""
    sure_wrong: tuple[str, ...]
    rotation_deg: float | None
    """Median of the right ones."""
    centre_share: float | None
    """The same, share of the extent."""
    auc: tuple[float, ...] | None
    agreed: int
    """Photos that have the same pose in a model of another system or seed."""
    check: dict[str, Any] | None
    """Of :func:`sfm_check.check`, where there is no truth."""
    error: str
    """Of a refusal or a crash."""
    crashed: bool
    seconds: float | None
    cpu_seconds: float | None
    rung: str
    """The attempt that gave the model."""
    believed: tuple[tuple[float, bool], ...]
    """Confidence of every pose whose truth is known, and whether it is right."""
    left_out_because: tuple[str, ...]
    fault: str
    complaints: tuple[str, ...]

    @property
    def left_out(self) -> int:
        return self.photos - self.registered

    def fields(self) -> dict[str, Any]:
        return asdict(self)

    def line(self) -> str:
        """For whoever waits."""
        found = f"{self.scene} {self.photos}-{self.which} seed {self.seed} {self.system}: "
        found += f"{self.registered} registered, {self.sure} sure"
        if self.has_truth:
            found += f", {self.right} right, {len(self.sure_wrong)} sure but wrong"
        if self.error:
            found += f" ({self.error[:120]})"
        return f"{found}, {_seconds(self.seconds)} s"


def tables(rows: Sequence[Row]) -> str:
    """Markdown: scenes with truth, scenes without, subsets, planted faults, and the sum of all."""
    kinds: tuple[tuple[str, Callable[[Row], bool], Callable[[Sequence[Row]], str]], ...] = (
        (
            "All photos, truth known",
            lambda one: one.whole and one.has_truth and not one.fault,
            with_truth,
        ),
        (
            "Spaced subsets, truth known",
            lambda one: not one.whole and one.has_truth,
            with_truth,
        ),
        ("No truth", lambda one: not one.has_truth and not one.fault, without_truth),
        ("Planted faults", lambda one: bool(one.fault), of_faults),
    )
    text, ended = "", [one for one in rows if not one.crashed]
    for title, belongs, table in kinds:
        if own := [one for one in ended if belongs(one)]:
            text += f"\n## {title}\n\n{table(own)}"
    text += against_plain([one for one in ended if one.whole and one.has_truth and not one.fault])
    if crashed := [one for one in rows if one.crashed]:
        text += "\n## Crashes, which are in no table\n\n"
        text += "".join(f"- {one.line()}\n" for one in crashed)
    return f"{text}{calibration(ended)}\n{verdicts(ended)}"


def with_truth(rows: Sequence[Row]) -> str:
    """Sums over draws and seeds of photos right, wrong, sure but wrong and left out."""
    lines = [
        "| scene | photos | system | runs | refused | right | wrong | sure but wrong | left out "
        "| rotation, deg | centre, % | AUC@1/3/5 | s | CPU s | rung |",
        "|---" * 15 + "|",
    ]
    for (scene, photos, system), own in grouped(rows):
        aucs = np.mean([one.auc for one in own if one.auc is not None], axis=0)
        cells = [
            scene,
            str(photos),
            system,
            str(len(own)),
            str(sum(bool(one.error) for one in own)),
            str(sum(one.right for one in own)),
            str(sum(len(one.wrong) for one in own)),
            str(sum(len(one.sure_wrong) for one in own)),
            str(sum(one.left_out for one in own)),
            _median((one.rotation_deg for one in own), "{:.2f}"),
            _median((one.centre_share for one in own), "{:.2%}").rstrip("%"),
            "/".join(f"{one:.2f}" for one in aucs),
            *_costs(own),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def without_truth(rows: Sequence[Row]) -> str:
    """Sums over draws and seeds; contradicted by the check, and agreed on by others."""
    lines = [
        "| scene | photos | system | runs | refused | registered | sure | agreed | contradicted "
        "| unchecked | held-out epipolar, px of 1000 | s | CPU s | rung |",
        "|---" * 14 + "|",
    ]
    for (scene, photos, system), own in grouped(rows):
        checks = [one.check for one in own if one.check is not None and "error" not in one.check]
        cells = [
            scene,
            str(photos),
            system,
            str(len(own)),
            str(sum(bool(one.error) for one in own)),
            str(sum(one.registered for one in own)),
            str(sum(one.sure for one in own)),
            str(sum(one.agreed for one in own)),
            str(sum(len(one["contradicted"]) for one in checks)),
            str(sum(len(one["unchecked"]) for one in checks)),
            _median((one["epipolar_px"] for one in checks), "{:.2f}"),
            *_costs(own),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def of_faults(rows: Sequence[Row]) -> str:
    """Whether each planted fault ended as it must; a line a run."""
    lines = [
        "| fault | system | seed | as expected | registered | sure | right | left out | amiss |",
        "|---" * 9 + "|",
    ]
    for one in sorted(rows, key=lambda row: (row.scene, row.system, row.seed)):
        ended = "; ".join(one.complaints) or (f"refused: {one.error}" if one.error else "")
        cells = [
            one.fault,
            one.system,
            str(one.seed),
            "no" if one.complaints else "yes",
            str(one.registered),
            str(one.sure),
            str(one.right) if one.has_truth else "-",
            str(one.left_out),
            ended.replace("|", "/")[:200],
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def against_plain(rows: Sequence[Row]) -> str:
    """Ratios to pycolmap at its defaults on the scenes of which it places every photo rightly;
    medians over seeds."""
    lines = []
    by_scene = dict(grouped(rows))
    for (scene, photos, system), own in by_scene.items():
        plain = by_scene.get((scene, photos, "plain"), [])
        solved = plain and all(one.right == one.photos for one in plain)
        if system == "plain" or not solved:
            continue
        centre, seconds, cpu = (
            _middle(getattr(one, name) for one in own)
            / _middle(getattr(one, name) for one in plain)
            for name in ("centre_share", "seconds", "cpu_seconds")
        )
        areas = [np.mean([one.auc for one in some if one.auc], axis=0) for some in (own, plain)]
        shown = "/".join(f"{one:.3f}" for one in areas[0] / np.maximum(areas[1], 1e-9))
        cells = [scene, system, f"{centre:.2f}", shown, f"{seconds:.2f}", f"{cpu:.2f}"]
        lines.append(f"| {' | '.join([*cells, _costs(own)[2]])} |\n")
    if not lines:
        return ""
    head = "| scene | system | centre error | AUC@1/3/5 | seconds | CPU s | rung |\n"
    return (
        f"\n## Ratios to plain, where it solves the scene\n\n{head}{'|---' * 7}|\n{''.join(lines)}"
    )


def calibration(rows: Sequence[Row]) -> str:
    """Of poses whose truth is known, by confidence: how many there are and how many are right."""
    lines = []
    for system in dict.fromkeys(one.system for one in rows):
        pairs = [pair for one in rows if one.system == system for pair in one.believed]
        if len({value for value, _ in pairs}) < 2:
            continue  # it knows no more or less
        for low, high in itertools.pairwise(CONFIDENCES):
            right = [good for value, good in pairs if low <= value < high]
            if right:
                share = f"{100 * np.mean(right):.1f} %"
                span = f"{low:g} to {min(high, 1.0):g}"
                lines.append(f"| {system} | {span} | {len(right)} | {share} |\n")
    if not lines:
        return ""
    head = "| system | confidence | poses | right |\n|---|---|---|---|\n"
    return f"\n## Calibration\n\n{head}{''.join(lines)}"


def verdicts(rows: Sequence[Row]) -> str:
    """A sentence for each system: poses called right that are right, and faults that ended well."""
    lines = []
    for system in dict.fromkeys(one.system for one in rows):
        own = [one for one in rows if one.system == system]
        known = [one for one in own if one.has_truth]
        wrong = sum(len(one.sure_wrong) for one in known)
        right = sum(one.right for one in known)
        planted = [one for one in own if one.fault]
        well = sum(not one.complaints for one in planted)
        line = f"- {system}: where truth is known {right} photos right, {wrong} called right but "
        line += f"wrong in {len(known)} runs; {well} of {len(planted)} planted faults as expected."
        lines.append(line)
    return "\n".join(lines) + "\n"


def grouped(rows: Sequence[Row]) -> Iterable[tuple[tuple[str, int, str], list[Row]]]:
    """Rows by scene, number of photos and system, in the order of the systems."""
    found: dict[tuple[str, int, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.scene, row.photos, row.system), []).append(row)
    systems = list(dict.fromkeys(row.system for row in rows))
    order = sorted(found, key=lambda key: (key[0], key[1], systems.index(key[2])))
    return [(key, found[key]) for key in order]


def _costs(rows: Sequence[Row]) -> list[str]:
    rungs = dict.fromkeys(one.rung for one in rows if one.rung)
    return [
        _median((one.seconds for one in rows), "{:.1f}"),
        _median((one.cpu_seconds for one in rows), "{:.1f}"),
        ", ".join(rungs) or "-",
    ]


def _middle(values: Iterable[float | None]) -> float:
    """Median of what is known; NaN of nothing."""
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else float("nan")


def _median(values: Iterable[float | None], form: str) -> str:
    known = [value for value in values if value is not None]
    return form.format(np.median(known)) if known else "-"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
