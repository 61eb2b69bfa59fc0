"""From points in a template head to signal: layers painted over each other, outside first."""

import torch
from torch import Tensor

from sftkd_core.data.phantoms import atlas
from sftkd_core.data.phantoms.contrast import weighting
from sftkd_core.data.phantoms.fields import Fields

STEP = 4  # of painting: the first that is not the geometry's
EDGE = 0.6  # mm, over which one tissue gives way to the next
EYES = ((-31.0, 62.0, -38.0), (31.0, 62.0, -38.0))


def paint(points: Tensor, fields: Fields, ingredients: tuple[str, ...]) -> Tensor:
    """Signal (n, h, w) >= 0 of a head at points (n, h, w, 3) of the template, in mm.

    ingredients  see ``head.INGREDIENTS``
    """
    generator = fields.step(STEP).generator
    around, cortex, lesions, grains = (fields.step(STEP + n) for n in range(1, 5))
    value = weighting(fields.step(STEP + 5).generator, "contrast" in ingredients)
    stripped = generator.uniform() < 0.4 or "skull" not in ingredients
    (grey, white, brain), (hull, surface) = atlas.look_up(points)
    hull = hull + generator.uniform(0.3, 1.2) * fields.step(STEP + 6).smooth(12)[0]
    inside = (3 * brain - 1).clamp(0, 1)  # 0 outside: air is to be empty
    signal = torch.zeros_like(hull)
    if not stripped:
        signal = _around(points, hull, surface, around, value)
    gap = generator.uniform(0.5, 4)  # of fluid between brain and skull
    signal = over(signal, value["fluid"], inside if stripped else _within(hull - gap))
    grey, white = _tissues(grey, white, inside, hull, cortex, "cortex" in ingredients)
    brain_tissue = grey + white
    signal = over(signal, value["grey"], brain_tissue)
    signal = signal + white * (value["white"] - value["grey"])
    if "lesions" in ingredients and lesions.generator.uniform() < 0.4:
        signal = _lesions(signal, points, brain_tissue, lesions, value)
    if "texture" in ingredients:
        draw = grains.generator.uniform
        grain = draw(0.02, 0.09) * grains.rough(6, draw(1.0, 2.2))[0]
    else:
        grain = 0.05 * grains.smooth(3)[0]
    return (signal * (1 + grain)).clamp(min=0)


def over(below: Tensor, value, cover: Tensor) -> Tensor:
    """Paint ``value`` where ``cover`` is 1."""
    return below * (1 - cover) + value * cover


def _within(distance: Tensor, edge: float = EDGE) -> Tensor:
    """1 where a signed distance in mm is negative, 0 where it is positive, soft between."""
    return torch.sigmoid(-distance / (edge / 2))


def _around(points: Tensor, hull: Tensor, surface: Tensor, fields: Fields, value) -> Tensor:
    """Skin, fat, muscles and face, eyes, and the skull with its marrow."""
    generator = fields.generator
    draw = generator.uniform
    surface = surface + draw(-4, 4) + 2 * fields.smooth(45)[0]
    surface = torch.minimum(surface, hull - 10)  # never inside the skull
    skin, fat = draw(1.2, 2.5), draw(1, 6) + draw(0.3, 1.5) * fields.smooth(25)[0]
    signal = value["skin"] * _within(surface)
    signal = over(signal, value["fat"], _within(surface + skin))
    deep = _within(surface + skin + fat.clamp(min=0.5))
    # muscles, fat between them, airways and bone: smooth fields cut at a level
    pattern, other = fields.smooth(draw(4, 9), 2)
    flesh = torch.full_like(pattern, value["muscle"])
    flesh = over(flesh, value["fat"], _within(3 * (0.6 - pattern)))
    low = torch.sigmoid((-28 - points[..., 2]) / 4)  # below the brain
    front = torch.sigmoid((points[..., 1] - 5) / 8)
    flesh = over(flesh, value["bone"], low * _within(3 * (0.3 + 0.4 * (1 - front) - other)))
    flesh = over(flesh, value["gland"], low * _within(3 * (1.1 + pattern * 0.5 + other)))
    signal = over(signal, flesh, deep)
    for centre in EYES:
        away = (points - torch.tensor(centre)).norm(dim=-1)
        signal = over(signal, value["fat"], _within(away - 17) * deep)
        signal = over(signal, value["skin"], _within(away - 12.5))
        signal = over(signal, value["fluid"], _within(away - 11.3))
    thick = draw(5, 9) + draw(0.5, 1.5) * fields.smooth(22)[0]
    inner, outer = draw(1.2, 2.2), draw(1.2, 2.4)
    signal = over(signal, value["bone"], _within(hull - 3 - thick.clamp(min=3)))
    marrow = _within(hull - 3 - thick + outer) * _within(3 + inner - hull)
    return over(signal, value["marrow"], marrow * draw(0.5, 1))


def _tissues(grey, white, inside, hull, fields: Fields, cortex: bool) -> tuple[Tensor, Tensor]:
    """Shares of grey and white matter: one anatomy of those that the template averaged over."""
    draw = fields.generator.uniform
    if not cortex:
        # sharpen what the template averaged over people
        grey, white = (torch.sigmoid(12 * (t - draw(0.45, 0.55))) for t in (grey, white))
        return grey * inside, white * inside
    fluid = (inside - grey - white).clamp(min=0)
    # each tissue's share plus a field of a few mm: where the template is sure, nothing changes
    wobble = draw(0.05, 0.2) * fields.smooth(draw(2.5, 4.5), 3)
    logits = 14 * (torch.stack([grey, white, fluid]) + wobble)
    grey, white, _ = torch.softmax(logits, dim=0) * inside
    # sulci: sheets where a field crosses zero, down to some depth below the hull, lined with grey
    length = draw(6, 9)
    sheet = fields.smooth(length)[0]
    slope = torch.stack(torch.gradient(sheet, spacing=fields.spacing[1], dim=(1, 2))).norm(dim=0)
    far = sheet.abs() / slope.clamp(min=0.3 / length)  # mm from the nearest sheet
    depth = draw(9, 20) + 4 * fields.smooth(20)[0]
    far = far + (-hull - depth).clamp(min=0)
    crease = _within(far - draw(0.3, 1.2), 1.0)
    lining = _within(far - draw(2.5, 4), 1.0)
    grey, white = grey + white * lining, white * (1 - lining)
    return grey * (1 - crease), white * (1 - crease)


def _lesions(signal, points, tissue, fields: Fields, value) -> Tensor:
    """Some round spots, or one mass with a rim, in the brain."""
    generator, draw = fields.generator, fields.generator.uniform
    bend = 0.25 * fields.smooth(6)[0]
    for _ in range(generator.integers(1, 12)):
        centre = points.reshape(-1, 3)[generator.integers(points[..., 0].numel())]
        radius = generator.choice([draw(2, 5), draw(6, 16)], p=[0.9, 0.1])
        away = (points - centre).norm(dim=-1) / radius + bend
        signal = over(signal, value["lesion"], _within(radius * (away - 1), 1.5) * tissue)
        if radius > 6:
            signal = over(signal, value["fluid"], _within(radius * (away - 0.6), 2) * tissue)
    return signal
