"""Materials that several scenes share."""

from tasks.procedural.materials import Pattern, surface

OAK = surface(Pattern.PLANKS, 0.16, "#9a6a3f", "#6d4526", "#3a2414")
WALNUT = surface(Pattern.PLANKS, 0.22, "#7d5233", "#4f301c", "#23150c", gloss=0.15)
STONE = surface(Pattern.MARBLE, 0.35, "#b9b0a0", "#6f675c", "#8d8069")
MARBLE = surface(Pattern.MARBLE, 0.25, "#d9d4cb", "#5f6270", "#b3a999", gloss=0.5)
LEAVES = surface(Pattern.FOLIAGE, 0.16, "#35592a", "#7fa04a", "#c9c86a")
HEDGE = surface(Pattern.FOLIAGE, 0.3, "#2c4a26", "#688b40", "#b8c070")
BARK = surface(Pattern.PLANKS, 0.09, "#6a5140", "#43322a", "#251b16")
CLAY = surface(Pattern.PLASTER, 0.14, "#b5603c", "#8c4429", "#dd9a70")
IRON = surface(Pattern.PLASTER, 0.08, "#4a4f55", "#2c3035", "#8a7a66", gloss=0.2)
ORANGE = surface(Pattern.PLASTER, 0.06, "#d2702a", "#e09a3c", "#a84a1c")
LIME = surface(Pattern.PLASTER, 0.06, "#8fae3a", "#bcc35a", "#5f7d28")
