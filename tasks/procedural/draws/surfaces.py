"""Random materials: what walls, floors, furniture and goods are made of."""

import colorsys

from tasks.procedural.build import surface
from tasks.procedural.draws.chance import Draws
from tasks.procedural.materials import Material, Pattern


def colour(hue_deg: float, saturation: float, value: float) -> str:
    """``#rrggbb`` of a hue (degrees), a saturation and a value (0..1, sRGB)."""
    rgb = colorsys.hsv_to_rgb(
        hue_deg / 360.0 % 1.0, min(max(saturation, 0.0), 1.0), min(max(value, 0.0), 1.0)
    )
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in rgb)


ANY_HUE = (0.0, 360.0)


def made_hue(draws: Draws) -> float:
    """Of a made thing, degrees: mostly earthy, often blue or green, seldom violet."""
    return draws.uniform(
        *draws.choice(
            (
                (0.0, 60.0),
                (15.0, 50.0),
                (15.0, 50.0),
                (25.0, 60.0),
                (195.0, 230.0),
                (200.0, 245.0),
                (80.0, 170.0),
                ANY_HUE,
            )
        )
    )


def _material(
    draws: Draws,
    pattern: Pattern,
    scale_m: tuple[float, float],
    hue_deg: tuple[float, float],
    saturation: tuple[float, float],
    value: tuple[float, float],
    *,
    darkest: float = 0.6,
    accent: float = 0.55,
    gloss: float = 0.0,
) -> Material:
    """A base colour, a neighbour ``darkest`` to 1 times as bright, and one ``accent`` times.

    Where the hue is free, most colours are muted, as most of the world is.
    """
    hue = draws.uniform(*hue_deg)
    if hue_deg == ANY_HUE:
        hue = made_hue(draws)
        muted = draws.uniform(0.15, 0.5) if draws.chance(0.75) else draws.uniform(0.5, 0.9)
        saturation = (muted * saturation[0], muted * saturation[1])
    sat, val = draws.uniform(*saturation), draws.uniform(*value)
    return surface(
        pattern,
        draws.log_uniform(*scale_m),
        colour(hue, sat, val),
        colour(
            hue + draws.normal(8.0),
            sat * draws.uniform(0.7, 1.2),
            val * draws.uniform(darkest, 1.0),
        ),
        colour(hue + draws.normal(15.0), 0.6 * sat, val * accent),
        gloss,
    )


def brick(draws: Draws) -> Material:
    if draws.chance(0.25):  # whitewashed or grey
        return _material(
            draws, Pattern.BRICK, (0.2, 0.32), (20.0, 60.0), (0.02, 0.15), (0.5, 0.85), accent=0.75
        )
    return _material(
        draws, Pattern.BRICK, (0.2, 0.32), (5.0, 34.0), (0.3, 0.6), (0.4, 0.75), accent=1.15
    )


def plaster(draws: Draws) -> Material:
    return _material(
        draws, Pattern.PLASTER, (0.12, 0.4), (15.0, 65.0), (0.08, 0.4), (0.6, 0.88), darkest=0.82
    )


def paint(draws: Draws) -> Material:
    """Even paint, of any hue and mostly pale."""
    return _material(
        draws, Pattern.PLAIN, (0.15, 0.7), ANY_HUE, (0.03, 0.35), (0.55, 0.9), darkest=0.82
    )


def enamel(draws: Draws) -> Material:
    """Strong and shining paint."""
    return _material(
        draws, Pattern.PLAIN, (0.1, 0.4), ANY_HUE, (0.4, 0.85), (0.3, 0.8),
        gloss=draws.uniform(0.2, 0.7),
    )  # fmt: skip


def wood(draws: Draws) -> Material:
    gloss = draws.uniform(0.05, 0.25) if draws.chance(0.3) else 0.0
    return _material(
        draws, Pattern.PLANKS, (0.08, 0.24), (16.0, 38.0), (0.3, 0.65), (0.35, 0.75),
        accent=0.45, gloss=gloss,
    )  # fmt: skip


def painted_wood(draws: Draws) -> Material:
    return _material(draws, Pattern.PLANKS, (0.07, 0.2), ANY_HUE, (0.15, 0.6), (0.35, 0.85))


def siding(draws: Draws) -> Material:
    return _material(draws, Pattern.SIDING, (0.1, 0.22), ANY_HUE, (0.05, 0.45), (0.45, 0.9))


def stone(draws: Draws) -> Material:
    return _material(draws, Pattern.MARBLE, (0.15, 0.6), (20.0, 55.0), (0.04, 0.25), (0.5, 0.82))


def polished(draws: Draws) -> Material:
    """Marble or glaze with a highlight."""
    return _material(
        draws, Pattern.MARBLE, (0.08, 0.3), ANY_HUE, (0.05, 0.4), (0.45, 0.85),
        gloss=draws.uniform(0.3, 0.8),
    )  # fmt: skip


def granite(draws: Draws) -> Material:
    return _material(draws, Pattern.SPECKLE, (0.015, 0.05), (0.0, 60.0), (0.02, 0.2), (0.4, 0.75))


def asphalt(draws: Draws) -> Material:
    return _material(
        draws, Pattern.SPECKLE, (0.03, 0.07), (20.0, 240.0), (0.01, 0.08), (0.32, 0.5), accent=1.5
    )


def gravel(draws: Draws) -> Material:
    return _material(
        draws, Pattern.SPECKLE, (0.05, 0.14), (20.0, 50.0), (0.08, 0.3), (0.45, 0.7), accent=1.2
    )


def cobbles(draws: Draws) -> Material:
    return _material(draws, Pattern.COBBLES, (0.12, 0.4), (20.0, 60.0), (0.03, 0.25), (0.4, 0.65))


def paving(draws: Draws) -> Material:
    return _material(
        draws, Pattern.TILES, (0.35, 0.8), (15.0, 60.0), (0.04, 0.25), (0.5, 0.75), accent=0.85
    )


def grass(draws: Draws) -> Material:
    return _material(
        draws, Pattern.FOLIAGE, (0.05, 0.25), (58.0, 95.0), (0.2, 0.42), (0.34, 0.55), accent=1.35
    )


def meadow(draws: Draws) -> Material:
    """Grass as it looks from the air, with patches metres wide."""
    return _material(
        draws, Pattern.FOLIAGE, (0.8, 2.5), (48.0, 95.0), (0.2, 0.42), (0.34, 0.55), accent=1.15
    )


def earth(draws: Draws) -> Material:
    return _material(draws, Pattern.COBBLES, (0.06, 0.15), (22.0, 40.0), (0.25, 0.5), (0.35, 0.55))


def tiles(draws: Draws) -> Material:
    """Glazed, with figures."""
    return _material(
        draws, Pattern.TILES, (0.09, 0.3), ANY_HUE, (0.05, 0.5), (0.5, 0.85),
        gloss=draws.uniform(0.0, 0.5),
    )  # fmt: skip


def shingles(draws: Draws) -> Material:
    hue = (8.0, 30.0) if draws.chance(0.65) else (200.0, 260.0)
    return _material(draws, Pattern.SHINGLES, (0.22, 0.36), hue, (0.15, 0.55), (0.35, 0.62))


def fabric(draws: Draws) -> Material:
    return _material(
        draws, Pattern.FABRIC, (0.06, 0.25), ANY_HUE, (0.2, 0.65), (0.3, 0.8), accent=1.4
    )


def rug(draws: Draws) -> Material:
    return _material(
        draws, Pattern.RUG, (0.12, 0.35), ANY_HUE, (0.35, 0.65), (0.3, 0.6), accent=1.5
    )


def panel(draws: Draws) -> Material:
    """Riveted metal with figures, worn."""
    return _material(
        draws, Pattern.PANEL, (0.08, 0.25), ANY_HUE, (0.25, 0.7), (0.4, 0.8),
        accent=1.2, gloss=draws.uniform(0.0, 0.4),
    )  # fmt: skip


def iron(draws: Draws) -> Material:
    return _material(
        draws, Pattern.PLASTER, (0.05, 0.12), (0.0, 240.0), (0.02, 0.2), (0.15, 0.5),
        accent=1.4, gloss=draws.uniform(0.1, 0.5),
    )  # fmt: skip


def clay(draws: Draws) -> Material:
    return _material(
        draws, Pattern.PLASTER, (0.06, 0.2), (8.0, 30.0), (0.3, 0.65), (0.5, 0.75), accent=1.2
    )


def fruit(draws: Draws) -> Material:
    return _material(
        draws, Pattern.PLASTER, (0.04, 0.08), (0.0, 110.0), (0.55, 0.85), (0.5, 0.85),
        accent=1.15, gloss=draws.uniform(0.0, 0.3),
    )  # fmt: skip


def cardboard(draws: Draws) -> Material:
    return _material(draws, Pattern.PLAIN, (0.1, 0.3), (24.0, 36.0), (0.3, 0.45), (0.55, 0.72))


def page(draws: Draws, line_m: tuple[float, float] = (0.03, 0.12)) -> Material:
    """Print: dark on pale, or pale on a strong colour."""
    line = draws.log_uniform(*line_m)
    pale = colour(draws.uniform(20.0, 70.0), draws.uniform(0.02, 0.2), draws.uniform(0.75, 0.92))
    hue = made_hue(draws)
    strong = colour(hue, draws.uniform(0.15, 0.65), draws.uniform(0.25, 0.65))
    dark = colour(hue + 40.0, 0.3, draws.uniform(0.1, 0.25))
    if draws.chance(0.5):
        return surface(Pattern.GLYPHS, line, pale, dark, strong)
    return surface(Pattern.GLYPHS, line, strong, pale, pale)


def picture(draws: Draws) -> Material:
    """A print of hills or of figures."""
    return _material(
        draws, Pattern.PRINT if draws.chance(0.6) else Pattern.POSTER, (0.1, 0.1), ANY_HUE,
        (0.15, 0.6), (0.5, 0.85), accent=0.4,
    )  # fmt: skip


def spine(draws: Draws) -> Material:
    return _material(
        draws, Pattern.SPINE, (0.05, 0.05), ANY_HUE, (0.2, 0.75), (0.25, 0.8), accent=1.5
    )


def pane(draws: Draws) -> Material:
    dark = colour(draws.uniform(190.0, 240.0), 0.4, draws.uniform(0.18, 0.3))
    pale = colour(draws.uniform(190.0, 220.0), draws.uniform(0.2, 0.4), draws.uniform(0.45, 0.72))
    curtain = colour(made_hue(draws), draws.uniform(0.03, 0.3), draws.uniform(0.5, 0.88))
    return surface(Pattern.PANE, draws.uniform(0.35, 0.7), pale, dark, curtain, 0.6)


def leaves(draws: Draws) -> Material:
    hue = (65.0, 115.0) if draws.chance(0.85) else (20.0, 60.0)
    return _material(draws, Pattern.FOLIAGE, (0.1, 0.3), hue, (0.25, 0.5), (0.38, 0.68), accent=1.2)


def blossom(draws: Draws) -> Material:
    return _material(
        draws, Pattern.FOLIAGE, (0.05, 0.1), (270.0, 420.0), (0.3, 0.8), (0.65, 0.92), accent=1.1
    )


def bark(draws: Draws) -> Material:
    return _material(draws, Pattern.PLANKS, (0.05, 0.12), (18.0, 35.0), (0.2, 0.45), (0.28, 0.5))


def outer_wall(draws: Draws) -> Material:
    return draws.choice((brick, brick, plaster, plaster, siding, stone, paint))(draws)


def inner_wall(draws: Draws) -> Material:
    return draws.choice((paint, paint, plaster, plaster, brick, siding, painted_wood))(draws)


def pavement(draws: Draws) -> Material:
    return draws.choice((cobbles, paving, gravel, asphalt, granite, brick))(draws)


def floor(draws: Draws) -> Material:
    return draws.choice((wood, wood, wood, tiles, stone, fabric))(draws)


def goods(draws: Draws) -> Material:
    """Of something that stands about."""
    return draws.choice((wood, painted_wood, panel, enamel, tiles, fabric, stone, polished, page))(
        draws
    )
