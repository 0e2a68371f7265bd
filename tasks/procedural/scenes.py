"""Demo scenes: a room from inside, an object from all sides, a house front.

Consecutive photos overlap enough for matching.
"""

from tasks.procedural.build import ProceduralScene
from tasks.procedural.facade import facade
from tasks.procedural.interior import interior
from tasks.procedural.orbit import orbit

__all__ = ["ProceduralScene", "facade", "interior", "orbit"]
