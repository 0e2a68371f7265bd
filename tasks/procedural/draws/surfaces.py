"""Random materials of walls, floors, furniture and goods."""

import colorsys
from collections.abc import Callable

from tasks.procedural.draws.chance import Draws
from tasks.procedural.materials import Material, Pattern, surface


def colour(hue_deg: float, saturation: float, value: float) -> str:
    """``#rrggbb`` of a hue (degrees), a saturation and a value (0..1, sRGB)."""
    rgb = colorsys.hsv_to_rgb(
        hue_deg / 360.0 % 1.0, min(max(saturation, 0.0), 1.0), min(max(value, 0.0), 1.0)
    )
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in rgb)


Surface = Callable[[Draws], Material]
Range = tuple[float, float]
ANY_HUE = (0.0, 360.0)


_MADE_HUES = (
    *((0.0, 60.0), (15.0, 50.0), (15.0, 50.0), (25.0, 60.0)),
    *((195.0, 230.0), (200.0, 245.0), (80.0, 170.0), ANY_HUE),
)


def made_hue(draws: Draws) -> float:
    """Hue of a manufactured thing, degrees: mostly earthy, often blue or green, seldom violet."""
    return draws.uniform(*draws.choice(_MADE_HUES))


def _drawn(
    pattern: Pattern,
    scale_m: Range,
    hue_deg: Range,
    saturation: Range,
    value: Range,
    *,
    darkest: float = 0.6,
    accent: float = 0.55,
    gloss: Range | None = None,
) -> Surface:
    """A material drawn from ranges: a base colour, a similar one, and an accent.

    Where the hue is free, most colours are muted, as in most of the world.

    Args:
        darkest: least brightness of the similar colour, relative to the base colour's.
        accent: brightness of the accent, relative to the base colour's.
    """

    def draw(draws: Draws) -> Material:
        shine = 0.0 if gloss is None else draws.uniform(*gloss)
        hue, strength = draws.uniform(*hue_deg), 1.0
        if hue_deg == ANY_HUE:
            hue = made_hue(draws)
            strength = draws.uniform(0.15, 0.5) if draws.chance(0.75) else draws.uniform(0.5, 0.9)
        sat = draws.uniform(strength * saturation[0], strength * saturation[1])
        val, scale = draws.uniform(*value), draws.log_uniform(*scale_m)
        similar = colour(
            hue + draws.normal(8.0),
            sat * draws.uniform(0.7, 1.2),
            val * draws.uniform(darkest, 1.0),
        )
        third = colour(hue + draws.normal(15.0), 0.6 * sat, val * accent)
        return surface(pattern, scale, colour(hue, sat, val), similar, third, shine)

    return draw


def _either(probability: float, first: Surface, second: Surface) -> Surface:
    return lambda draws: (first if draws.chance(probability) else second)(draws)


def _one_of(*options: Surface) -> Surface:
    return lambda draws: draws.choice(options)(draws)


brick = _either(
    0.25,  # whitewashed or grey
    _drawn(Pattern.BRICK, (0.2, 0.32), (20.0, 60.0), (0.02, 0.15), (0.5, 0.85), accent=0.75),
    _drawn(Pattern.BRICK, (0.2, 0.32), (5.0, 34.0), (0.3, 0.6), (0.4, 0.75), accent=1.15),
)
plaster = _drawn(Pattern.PLASTER, (0.12, 0.4), (15.0, 65.0), (0.08, 0.4), (0.6, 0.88), darkest=0.82)
paint = _drawn(Pattern.PLAIN, (0.15, 0.7), ANY_HUE, (0.03, 0.35), (0.55, 0.9), darkest=0.82)
"""Even paint, of any hue and mostly pale."""
enamel = _drawn(Pattern.PLAIN, (0.1, 0.4), ANY_HUE, (0.4, 0.85), (0.3, 0.8), gloss=(0.2, 0.7))
"""Saturated, glossy paint."""
_WOOD = (Pattern.PLANKS, (0.08, 0.24), (16.0, 38.0), (0.3, 0.65), (0.35, 0.75))
wood = _either(0.3, _drawn(*_WOOD, accent=0.45, gloss=(0.05, 0.25)), _drawn(*_WOOD, accent=0.45))
painted_wood = _drawn(Pattern.PLANKS, (0.07, 0.2), ANY_HUE, (0.15, 0.6), (0.35, 0.85))
siding = _drawn(Pattern.SIDING, (0.1, 0.22), ANY_HUE, (0.05, 0.45), (0.45, 0.9))
stone = _drawn(Pattern.MARBLE, (0.15, 0.6), (20.0, 55.0), (0.04, 0.25), (0.5, 0.82))
polished = _drawn(Pattern.MARBLE, (0.08, 0.3), ANY_HUE, (0.05, 0.4), (0.45, 0.85), gloss=(0.3, 0.8))
"""Marble or glaze with a highlight."""
granite = _drawn(Pattern.SPECKLE, (0.015, 0.05), (0.0, 60.0), (0.02, 0.2), (0.4, 0.75))
asphalt = _drawn(
    Pattern.SPECKLE, (0.03, 0.07), (20.0, 240.0), (0.01, 0.08), (0.32, 0.5), accent=1.5
)
gravel = _drawn(Pattern.SPECKLE, (0.05, 0.14), (20.0, 50.0), (0.08, 0.3), (0.45, 0.7), accent=1.2)
cobbles = _drawn(Pattern.COBBLES, (0.12, 0.4), (20.0, 60.0), (0.03, 0.25), (0.4, 0.65))
paving = _drawn(Pattern.TILES, (0.35, 0.8), (15.0, 60.0), (0.04, 0.25), (0.5, 0.75), accent=0.85)
grass = _drawn(Pattern.FOLIAGE, (0.05, 0.25), (58.0, 95.0), (0.2, 0.42), (0.34, 0.55), accent=1.35)
meadow = _drawn(Pattern.FOLIAGE, (0.8, 2.5), (48.0, 95.0), (0.2, 0.42), (0.34, 0.55), accent=1.15)
"""Grass seen from the air, with patches metres wide."""
earth = _drawn(Pattern.COBBLES, (0.06, 0.15), (22.0, 40.0), (0.25, 0.5), (0.35, 0.55))
tiles = _drawn(Pattern.TILES, (0.09, 0.3), ANY_HUE, (0.05, 0.5), (0.5, 0.85), gloss=(0.0, 0.5))
"""Glazed tiles with figures."""
_SHINGLES = (Pattern.SHINGLES, (0.22, 0.36))
shingles = _either(
    0.65,
    _drawn(*_SHINGLES, (8.0, 30.0), (0.15, 0.55), (0.35, 0.62)),
    _drawn(*_SHINGLES, (200.0, 260.0), (0.15, 0.55), (0.35, 0.62)),
)
fabric = _drawn(Pattern.FABRIC, (0.06, 0.25), ANY_HUE, (0.2, 0.65), (0.3, 0.8), accent=1.4)
rug = _drawn(Pattern.RUG, (0.12, 0.35), ANY_HUE, (0.35, 0.65), (0.3, 0.6), accent=1.5)
panel = _drawn(
    Pattern.PANEL, (0.08, 0.25), ANY_HUE, (0.25, 0.7), (0.4, 0.8), accent=1.2, gloss=(0.0, 0.4)
)
"""Riveted metal with figures, worn."""
iron = _drawn(
    *(Pattern.PLASTER, (0.05, 0.12), (0.0, 240.0), (0.02, 0.2), (0.15, 0.5)),
    accent=1.4,
    gloss=(0.1, 0.5),
)
clay = _drawn(Pattern.PLASTER, (0.06, 0.2), (8.0, 30.0), (0.3, 0.65), (0.5, 0.75), accent=1.2)
fruit = _drawn(
    *(Pattern.PLASTER, (0.04, 0.08), (0.0, 110.0), (0.55, 0.85), (0.5, 0.85)),
    accent=1.15,
    gloss=(0.0, 0.3),
)
cardboard = _drawn(Pattern.PLAIN, (0.1, 0.3), (24.0, 36.0), (0.3, 0.45), (0.55, 0.72))
_PICTURE = ((0.1, 0.1), ANY_HUE, (0.15, 0.6), (0.5, 0.85))
picture = _either(
    0.6, _drawn(Pattern.PRINT, *_PICTURE, accent=0.4), _drawn(Pattern.POSTER, *_PICTURE, accent=0.4)
)
"""A print of hills or of abstract figures."""
spine = _drawn(Pattern.SPINE, (0.05, 0.05), ANY_HUE, (0.2, 0.75), (0.25, 0.8), accent=1.5)
leaves = _either(
    0.85,
    _drawn(Pattern.FOLIAGE, (0.1, 0.3), (65.0, 115.0), (0.25, 0.5), (0.38, 0.68), accent=1.2),
    _drawn(Pattern.FOLIAGE, (0.1, 0.3), (20.0, 60.0), (0.25, 0.5), (0.38, 0.68), accent=1.2),
)
blossom = _drawn(Pattern.FOLIAGE, (0.05, 0.1), (270.0, 420.0), (0.3, 0.8), (0.65, 0.92), accent=1.1)
bark = _drawn(Pattern.PLANKS, (0.05, 0.12), (18.0, 35.0), (0.2, 0.45), (0.28, 0.5))


def page(draws: Draws, line_m: tuple[float, float] = (0.03, 0.12)) -> Material:
    """Print: dark on pale, or pale on a saturated colour."""
    line = draws.log_uniform(*line_m)
    pale = colour(draws.uniform(20.0, 70.0), draws.uniform(0.02, 0.2), draws.uniform(0.75, 0.92))
    hue = made_hue(draws)
    strong = colour(hue, draws.uniform(0.15, 0.65), draws.uniform(0.25, 0.65))
    dark = colour(hue + 40.0, 0.3, draws.uniform(0.1, 0.25))
    if draws.chance(0.5):
        return surface(Pattern.GLYPHS, line, pale, dark, strong)
    return surface(Pattern.GLYPHS, line, strong, pale, pale)


def pane(draws: Draws) -> Material:
    dark = colour(draws.uniform(190.0, 240.0), 0.4, draws.uniform(0.18, 0.3))
    pale = colour(draws.uniform(190.0, 220.0), draws.uniform(0.2, 0.4), draws.uniform(0.45, 0.72))
    curtain = colour(made_hue(draws), draws.uniform(0.03, 0.3), draws.uniform(0.5, 0.88))
    return surface(Pattern.PANE, draws.uniform(0.35, 0.7), pale, dark, curtain, 0.6)


outer_wall = _one_of(brick, brick, plaster, plaster, siding, stone, paint)
inner_wall = _one_of(paint, paint, plaster, plaster, brick, siding, painted_wood)
pavement = _one_of(cobbles, paving, gravel, asphalt, granite, brick)
floor = _one_of(wood, wood, wood, tiles, stone, fabric)
goods = _one_of(wood, painted_wood, panel, enamel, tiles, fabric, stone, polished, page)
