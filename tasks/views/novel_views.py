"""Which novel views of a scene are made."""

from collections.abc import Iterator

import numpy as np

from tasks.runtime.context import Context
from tasks.views.config import ViewsConfig
from tasks.views.renderer import NovelView, ViewRenderer, render_view
from tasks.views.trajectories import between, beyond, evenly

BEYOND_SHARE = 4
"""One view of so many may be beyond the photos."""


def novel_views(
    renderer: ViewRenderer, config: ViewsConfig, *, context: Context = Context()
) -> Iterator[NovelView]:
    """The views between the photos, then those beyond them that can be believed.

    Ways beyond go on, a step a round, while their views pass the gate: the mean confidence of a
    view must reach a share of the median of the views between.
    """
    cameras, rounds = renderer.stack.cameras, config.rounds if config.beyond else 0
    ways = len(beyond(cameras))
    reserved = min(config.count // BEYOND_SHARE, rounds * ways)
    inner = between(cameras, config.steps)
    inner = inner.select(evenly(len(inner), config.count - reserved))
    typical = []
    for index, name in enumerate(inner.names):
        view = render_view(renderer, inner.select([index]), config)
        typical.append(float(view.confidence.mean()))
        context.progress((index + 1) / (config.count + 1), f"rendered {name}")
        yield view
    gate = config.gate * float(np.median(typical))
    made, going_on = 0, evenly(ways, reserved)
    for step in range(1, rounds + 1):
        outer = beyond(cameras, step)
        passed = []
        for way in going_on[: reserved - made]:
            view = render_view(renderer, outer.select([way]), config)
            if float(view.confidence.mean()) < gate:
                continue
            made += 1
            passed.append(way)
            context.progress(
                (len(inner) + made) / (config.count + 1), f"looked from {outer.names[way]}"
            )
            yield view
        going_on = passed
    context.progress(1.0, f"made {len(inner) + made} views")
