"""Three scenes to show the pipeline on: a room from inside, an object all round, a house front.

Their camera paths give neighbouring photos enough in common for matching.
"""

from tasks.procedural.build import ProceduralScene
from tasks.procedural.facade import facade
from tasks.procedural.interior import interior
from tasks.procedural.orbit import orbit

__all__ = ["ProceduralScene", "facade", "interior", "orbit"]
