"""Draw block.svg: eq. (6) from top to bottom, with the shapes that a real block has.

    python docs/images/block.py

The drawing goes into a page as it is, so its boxes are links and its colours are those of the page, light or dark.
"""

from pathlib import Path

import numpy as np

import nonlocal_ref as nl

FEATURES = (1, 1024, 4, 14, 14)  # B, C, T, H, W: res4 of the paper, 32 frames of 224 x 224
LEFT, MIDDLE, RIGHT = 104, 300, 496  # the columns of theta, phi, g
BETWEEN = (LEFT + MIDDLE) / 2
WIDTH, HEIGHT = 600, 740
BOX = 58  # height


def draw():
    """The drawing, as text."""
    x, seen = np.zeros(FEATURES, np.float32), {}
    config = nl.BlockConfig(FEATURES[1])
    params = {key: p.astype(np.float32) for key, p in nl.init_params(config, rng=0).items()}
    z, _ = nl.block(x, params, config, method="dense", tap=lambda name, array: seen.update({name: array.shape}))
    batch, channels, frames, height, width = x.shape
    theta, phi, g = seen["theta"], seen["phi"], seen["g"]
    unpooled = (batch, frames * height * width, phi[2])
    w_z_y = (*theta[:2], channels)
    kernel = " × ".join(str(k) for k in config.kernel)

    arrows = [
        *[line((MIDDLE, 70), (column, 112)) for column in (LEFT, MIDDLE, RIGHT)],
        *[line((column, 170), (column, 206)) for column in (MIDDLE, RIGHT)],
        line((LEFT, 170), (LEFT, 300)),
        line((MIDDLE, 264), (MIDDLE, 300)),
        line((RIGHT, 264), (RIGHT, 394)),
        line((BETWEEN, 358), (BETWEEN, 394)),
        *[line((MIDDLE, y + BOX), (MIDDLE, y + BOX + 32)) for y in (394, 484, 574)],
        f'<path d="M{MIDDLE - 92} 41H8V693H{MIDDLE - 134}"/>',
    ]
    boxes = [
        box(MIDDLE, 12, 184, "x", x.shape),
        box(LEFT, 112, 172, f"θ = {sub('W', 'θ')} x", theta, "derivations/linear.html"),
        box(MIDDLE, 112, 172, f"{sub('W', 'φ')} x", unpooled, "derivations/linear.html"),
        box(RIGHT, 112, 172, f"{sub('W', 'g')} x", unpooled, "derivations/linear.html"),
        box(MIDDLE, 206, 172, f"φ: max-pool {kernel}", phi, "derivations/max_pool.html"),
        box(RIGHT, 206, 172, f"g: max-pool {kernel}", g, "derivations/max_pool.html"),
        box(BETWEEN, 300, 368, "f / C(x) = softmax of θ φᵀ", seen["weights"], "derivations/softmax.html"),
        box(MIDDLE, 394, 564, "y = f / C(x) · g", seen["y"], "derivations/nonlocal_operation.html"),
        box(MIDDLE, 484, 260, f"{sub('W', 'z')} y", w_z_y, "derivations/linear.html"),
        box(MIDDLE, 574, 260, "batch norm, γ = 0 at first", w_z_y, "derivations/batch_norm.html"),
        box(MIDDLE, 664, 260, f"z = {sub('W', 'z')} y + x", z.shape, "derivations/block.html"),
    ]
    return "\n".join([HEAD, '<g class="arrows">', *arrows, "</g>", *boxes, "</svg>", ""])


HEAD = f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" class="drawing" role="group"
  aria-label="The non-local block from top to bottom, each box with the shape of what comes out of it">
<style>
.drawing {{ display: block; width: 100%; max-width: {WIDTH}px; margin: auto; font: 16px sans-serif }}
.drawing rect {{ fill: var(--pst-color-surface, #f3f4f5); stroke: var(--pst-color-border, #999) }}
.drawing a rect {{ stroke: var(--pst-color-link, #07c); stroke-width: 1.5 }}
.drawing a:hover rect, .drawing a:focus rect {{ stroke-width: 3 }}
.drawing text {{ text-anchor: middle; fill: var(--pst-color-text-base, #222) }}
.drawing a {{ text-decoration: none }}
.drawing .shape {{ font: 14px monospace; fill: var(--pst-color-text-muted, #555) }}
.drawing .arrows path {{ fill: none; stroke: var(--pst-color-text-muted, #555); stroke-width: 1.5 }}
.drawing .arrows path {{ marker-end: url(#tip) }}
.drawing marker path {{ fill: var(--pst-color-text-muted, #555) }}
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">
<path d="M0 0L8 4L0 8z"/></marker></defs>"""


def line(start, end):
    """An arrow that leaves downwards and arrives downwards."""
    (x, y), (to_x, to_y) = start, end
    bend = "" if x == to_x else f"V{(y + to_y) / 2:g}H{to_x:g}"
    return f'<path d="M{x:g} {y}{bend}V{to_y}"/>'


def box(centre, top, width, formula, shape, href=None):
    """A formula over the shape of its result; a link where there is more to say."""
    drawn = (
        f'<rect x="{centre - width / 2:g}" y="{top}" width="{width}" height="{BOX}" rx="6"/>'
        f'<text x="{centre:g}" y="{top + 25}">{formula}</text>'
        f'<text x="{centre:g}" y="{top + 46}" class="shape">{shape}</text>'
    )
    return f'<a href="{href}">{drawn}</a>' if href else f"<g>{drawn}</g>"


def sub(symbol, index):
    """A symbol with an index."""
    return f'{symbol}<tspan dy="4" font-size="11">{index}</tspan><tspan dy="-4">\u200b</tspan>'


if __name__ == "__main__":
    Path(__file__).with_suffix(".svg").write_text(draw(), encoding="utf-8")
