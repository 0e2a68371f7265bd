"""A stage of the pipeline, declared once: everything that others need to know of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneSize:
    """The size of a scene, from which the work of its stages is estimated."""

    photos: int
    training: int
    """Photos that the splat is fitted to."""
    width: int
    height: int
    """Size of a photo as given, px."""
    config: Any
    """The scene's whole config, :class:`flows.config.SceneConfig`."""

    @property
    def held_out(self) -> int:
        """Photos that the splat is scored against."""
        return self.photos - self.training

    def pixels(self, longest_edge: int) -> float:
        """Pixels of a photo that is reduced to ``longest_edge`` px."""
        scale = min(1.0, longest_edge / max(self.width, self.height))
        return self.width * self.height * scale**2


def nothing(scene: SceneSize) -> float:
    """Neither work nor bytes."""
    return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage.

    The runner, the recaller, the estimate, the tables, the report, gc and exports read this value.
    """

    name: str
    """In tables, options and keys, and of its task in Prefect."""
    artefact: str
    """Kind of its artefact; prefix of its columns in ``scenes``."""
    version: int
    """Part of the cache key: raised by hand when the numbers change; ``docs/stages.json`` records
    the sources that each version runs."""
    run: str
    """``module:function`` that computes it, imported when it is called:
    ``run(out: Writer, context: Context, **inputs) -> ArrayHandle``."""
    variant: str = ""
    """Tells stages of one name apart that run in each other's place."""
    libraries: tuple[str, ...] = ()
    """Distributions that its numbers come from; their installed versions are part of the key."""
    depends_on_device: bool = True
    """Whether cpu and cuda give other numbers, and are cached apart."""
    needs: str | None = None
    """Stage without which this one cannot run, or is of no use."""
    optional: bool = False
    """Whether a config may leave it out."""
    compared_with: str | None = None
    """Stage whose held-out pictures its own are scored against, photo by photo."""
    several: bool = False
    """Whether a scene may have several artefacts of it."""
    curve: bool = False
    """Whether its artefact holds a training curve for the table ``training``."""
    pictured: bool = False
    """Whether reports show its pictures of held-out poses."""
    work: Callable[[SceneSize], float] = nothing
    """Amount of work in a scene; 0 where the stage has nothing to do."""
    seconds: float = 0.0
    """Seconds for one unit of that work on two cores of a common server."""
    size: Callable[[SceneSize], float] = nothing
    """Bytes of its artefacts, about, uncompressed."""

    @property
    def key(self) -> str:
        """Name in the cache, told apart by the variant."""
        return f"{self.name}.{self.variant}" if self.variant else self.name
