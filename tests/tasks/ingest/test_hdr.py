"""Videos of high dynamic range, against values of the recommendations' tables."""

from pathlib import Path

import av
import numpy as np
import pytest

from tasks.ingest.hdr import HLG, PQ, tone_mapped
from tests.support.ingested import ingested


def shown(level: float, transfer: int) -> int:
    """What a grey signal from 0 to 1 becomes."""
    grey = np.full((1, 1, 3), round(65_535 * level), dtype=np.uint16)
    found = tone_mapped(grey, transfer)
    assert np.ptp(found) <= 1, "grey stays grey"
    return int(found[0, 0, 1])


def srgb(share_of_white: float) -> float:
    """IEC 61966-2-1, above its linear part."""
    return float(255 * (1.055 * share_of_white ** (1 / 2.4) - 0.055))


@pytest.mark.parametrize(
    ("signal", "transfer", "luminance"),
    [
        (0.5081, PQ, 100.0),  # BT.2408, table of PQ signals
        (0.4403, PQ, 50.0),
        (0.5, HLG, 1000 * (1 / 12) ** 1.2),  # BT.2100: 1/12 of the light of the scene
        (0.38, HLG, 1000 * (0.38**2 / 3) ** 1.2),  # BT.2408: an 18 % grey card, 26 cd/m2
    ],
)
def test_greys_below_white_keep_their_luminance(
    signal: float, transfer: int, luminance: float
) -> None:
    assert abs(shown(signal, transfer) - srgb(luminance / 203.0)) <= 1.5


@pytest.mark.parametrize("transfer", [HLG, PQ])
def test_black_stays_black_and_highlights_are_told_apart(transfer: int) -> None:
    assert shown(0.0, transfer) == 0
    levels = [shown(level, transfer) for level in (0.3, 0.5, 0.58, 0.65)]
    assert levels == sorted(set(levels))
    assert shown(1.0, transfer) == 255


def test_a_colour_of_srgb_comes_back() -> None:
    """BT.2087 takes sRGB's red to this light of BT.2020; half of the reference white, in PQ."""
    light = 0.5 * 203.0 * np.array([0.6274, 0.0691, 0.0164])
    powered = (light / 10_000) ** 0.1593017578125
    signal = ((0.8359375 + 18.8515625 * powered) / (1 + 18.6875 * powered)) ** 78.84375
    found = tone_mapped(np.rint(65_535 * signal).astype(np.uint16)[None, None], PQ)[0, 0]
    assert abs(int(found[0]) - srgb(0.5)) <= 2
    assert found[1:].max() <= 12


def test_frames_of_a_video_in_hlg_are_tone_mapped_and_said(tmp_path: Path) -> None:
    path = tmp_path / "walk.mp4"
    ramp = np.tile(np.linspace(0.1, 0.5, 96), (64, 1))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "1"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace = HLG, 9, 9
        for index in range(4):
            grey = np.rint(65_535 * np.roll(ramp, 8 * index, axis=1)).astype(np.uint16)
            frame = av.VideoFrame.from_ndarray(np.dstack([grey] * 3), format="rgb48le")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    photos, stored = ingested(path)
    first = photos.pixels(0)[32].astype(float)
    for column in (10, 50, 90):
        luminance = 1000 * (ramp[0, column] ** 2 / 3) ** 1.2
        if luminance > 2:
            assert abs(first[column, 1] - srgb(luminance / 203.0)) <= 4
    said = "photos: 4 of high dynamic range, tone-mapped to sRGB: all"
    assert said in stored.attributes["used"]
