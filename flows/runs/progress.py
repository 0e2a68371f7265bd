"""Which runs go on now: by the locks of this machine, and by what Prefect says."""

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flows.orchestration.locks import is_free, is_held
from flows.runs.record import lock_of
from storage.errors import UnseenError

if TYPE_CHECKING:
    from flows.report.live import SceneProgress


def is_going_on(run: str) -> bool:
    """Whether a process of this machine works on a run, or scenes of it wait or run elsewhere."""
    return is_held(lock_of(run)) or bool(scenes_going_on(run))


def scenes_going_on(run: str) -> Sequence["SceneProgress"]:
    """Scenes of a run that wait or run now, as Prefect says; none where no API answers.

    Prefect goes on calling a scene running whose process was killed with all others of the run.
    """
    from flows.orchestration.server import (  # late: Prefect takes a second to import
        find_api,
        use_api,
    )

    if is_free(lock_of(run)):
        return []
    with contextlib.suppress(UnseenError):
        api = find_api()
        if api is None:
            return []
        use_api(api)
        from prefect.client.orchestration import get_client

        from flows.report.live import ONGOING, look

        with contextlib.suppress(Exception), get_client(sync_client=True) as client:
            return [one for one in look(client, run) if one.state in ONGOING]
    return []
