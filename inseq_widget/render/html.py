"""A heatmap as HTML without script: for saved notebooks, exports and pages without a kernel.

What a notebook's sanitiser takes away (scripts, style elements, SVG, ARIA and data attributes,
rotated text, the picture's hard pixel edges) is either absent or missed by nobody: colours and
sizes are inline, and labels and pixels of the matrix are aligned by line heights alone.
"""

from __future__ import annotations

import base64
import io
from html import escape

import numpy as np
from PIL import Image
from rich.cells import cell_len

from inseq_widget.explore.figure import Figure, make_figure
from inseq_widget.explore.protocol import SequenceSpec, TokenSpec
from inseq_widget.render.colours import ENTRIES, Rgb, entries, hue
from inseq_widget.render.headline import headline, opening, provenance, size, text_blocks
from inseq_widget.render.numbers import counted, percent
from inseq_widget.render.top import top_steps
from inseq_widget.render.visible import is_right_to_left, shown, visible_label, visible_text
from inseq_widget.results import FeatureAttributionOutput

CELL = 16  # pixels, width and height
# With more of it, text of a page's own colour could not be read on it, on white or on black.
MOST_OPAQUE_TEXT = 0.55
_LABEL_WIDTH = 132
_LONGEST_ROW_LABEL = 18
_LONGEST_COLUMN_LABEL = 14
_CHARACTER = 7  # pixels, the width of a wide letter at the labels' size
_TOP = 5
_SWATCHES = 4  # on each side of nothing
# Below this part of the largest a token is left without shade and number: nobody sees the one,
# and long texts stay small.
_LEAST_SHADE = 0.02
# Missing cells are the last entry of the picture's palette.
MISSING_ENTRY = ENTRIES - 1
_MISSING_COLOUR = (128, 128, 128, 40)


def static_html(output: FeatureAttributionOutput) -> str:
    """Draw the heatmaps of a result as HTML that needs neither script nor style sheet.

    Parameters
    ----------
    output : FeatureAttributionOutput

    Returns
    -------
    str
        One ``div`` of class ``inseq-static``. Reads on light and on dark pages.
    """
    return static_html_of(make_figure(output))


def static_html_of(figure: Figure) -> str:
    """Do the work of :func:`static_html` for a figure."""
    spec = figure.spec
    parts = [
        '<div class="inseq-static">',
        f"<p><b>{escape(headline(spec))}</b> · {escape(provenance(spec))}</p>",
    ]
    for number, sequence in enumerate(spec["sequences"]):
        if len(spec["sequences"]) > 1:
            of = f"Text {number + 1} of {len(spec['sequences'])}"
            parts.append(f"<p><b>{of}</b>: <bdi>{escape(opening(sequence))}</bdi></p>")
        parts.append(_text(figure, number))
        parts.append(_matrix(figure, number))
        parts.append(_top_table(figure, number))
    if not spec["sequences"]:
        parts.append("<p>No text was attributed.</p>")
    return "".join([*parts, "</div>"])


def matrix_png(figure: Figure, sequence: int) -> bytes:
    """Draw the matrix of a sequence, one pixel for each cell.

    Parameters
    ----------
    figure : Figure
    sequence : int

    Returns
    -------
    bytes
        A PNG with a palette whose opacity grows with the magnitude: entry 0 to 254 from nothing
        to the end of the scale, or from the most negative over nothing to the most positive; 255
        where a score is missing.
    """
    signed = figure.spec["signed"]
    shares, domain = figure.shares(sequence), figure.spec["sequences"][sequence]["domain"]
    found = entries(shares, domain, signed)
    # 256 colours would leave no place for the missing ones.
    places = np.where(found < 0, MISSING_ENTRY, np.minimum(found, MISSING_ENTRY - 1))
    image = Image.fromarray(places.astype(np.uint8), "P")
    colours = [_palette_colour(entry, signed) for entry in range(ENTRIES)]
    image.putpalette([channel for *solid, _ in colours for channel in solid])
    target = io.BytesIO()
    image.save(target, "PNG", optimize=True, transparency=bytes(opacity for *_, opacity in colours))
    return target.getvalue()


def _palette_colour(entry: int, signed: bool) -> tuple[int, int, int, int]:
    if entry == MISSING_ENTRY:
        return _MISSING_COLOUR
    if not signed:
        return (*hue(False), round(255 * entry / (MISSING_ENTRY - 1)))
    half = ENTRIES // 2 - 1
    negative = entry <= half
    magnitude = half - entry if negative else entry - half - 1
    return (*hue(True, negative), min(255, round(255 * magnitude / (half - 1))))


def _text(figure: Figure, number: int) -> str:
    sequence, signed = figure.spec["sequences"][number], figure.spec["signed"]
    means = figure.mean_shares(number)
    present = np.abs(means[~np.isnan(means)])
    domain = float(present.max()) if present.size else 0.0
    share_of = dict(zip(sequence["inputs"], means.tolist(), strict=True))
    parts = []
    for name, tokens in text_blocks(sequence):
        spans = "".join(
            _span(token, share_of.get(at, float("nan")), domain, signed) for at, token in tokens
        )
        rtl = is_right_to_left("".join(token["text"] for _, token in tokens))
        parts.append(
            f'<p style="white-space:pre-wrap;line-height:1.7"{" dir=rtl" if rtl else ""}>'
            f"<b>{name}</b> {spans}</p>"
        )
    caption = f"Shaded by mean share over {counted(len(sequence['steps']), 'step')}"
    return "".join(parts) + f"<p><small>{caption}, {percent(domain)} at most.</small></p>"


def _span(token: TokenSpec, share: float, domain: float, signed: bool) -> str:
    text = escape(visible_text(token)).replace("\n", "<br>")
    if not domain > 0 or not abs(share) >= _LEAST_SHADE * domain:
        return text
    colour = _translucent(hue(signed, share < 0), MOST_OPAQUE_TEXT * min(1.0, abs(share) / domain))
    return f'<span style="background:{colour}" title="{percent(share)}">{text}</span>'


def _translucent(colour: Rgb, opacity: float) -> str:
    return "#" + "".join(f"{channel:02x}" for channel in (*colour, round(255 * opacity)))


def _matrix(figure: Figure, number: int) -> str:
    sequence = figure.spec["sequences"][number]
    tokens = sequence["tokens"]
    rows = [visible_label(tokens[at], _LONGEST_ROW_LABEL) for at in sequence["inputs"]]
    columns = [tokens[step["token"]] for step in sequence["steps"]]
    picture = base64.b64encode(matrix_png(figure, number)).decode("ascii")
    width, height = CELL * len(columns), CELL * len(rows)
    head = "".join(
        f'<span style="flex:none;width:{CELL}px;overflow:hidden;writing-mode:vertical-rl"'
        f' title="{escape(visible_label(token))}">'
        f"{_isolated(visible_label(token, _LONGEST_COLUMN_LABEL))}</span>"
        for token in columns
    )
    longest = max((cell_len(visible_label(t, _LONGEST_COLUMN_LABEL)) for t in columns), default=0)
    labels = "<br>".join(map(_isolated, rows))
    return (
        f"<details open><summary>{size(sequence)}</summary>"
        '<div style="overflow-x:auto;font-size:11px">'
        f'<div style="display:flex;padding-left:{_LABEL_WIDTH + 4}px;height:'
        f"{_CHARACTER * longest + 4}px;line-height:{CELL}px;text-align:right;"
        f'word-break:break-all">{head}</div>'
        '<div style="display:flex">'
        f'<div style="flex:none;width:{_LABEL_WIDTH}px;padding-right:4px;line-height:{CELL}px;'
        f'white-space:pre;overflow:hidden;text-align:right">{labels}</div>'
        f'<img alt="{escape(_described(figure, sequence))}" width="{width}" height="{height}" '
        f'style="flex:none;width:{width}px;height:{height}px;max-width:none;'
        f'image-rendering:pixelated" src="data:image/png;base64,{picture}"></div></div>'
        f"<p><small>{_legend(figure, number)}</small></p></details>"
    )


def _isolated(label: str) -> str:
    """Escape a label, so that its writing direction ends with it."""
    return f"<bdi>{escape(label)}</bdi>" if is_right_to_left(label) else escape(label)


def _described(figure: Figure, sequence: SequenceSpec) -> str:
    return f"Heatmap of {headline(figure.spec)}: {size(sequence)}, inputs down, steps across"


def _legend(figure: Figure, number: int) -> str:
    sequence = figure.spec["sequences"][number]
    signed, domain = figure.spec["signed"], sequence["domain"]
    beyond = sequence["largest"] > domain * 1.0005
    scale = [part / _SWATCHES for part in range(-_SWATCHES if signed else 0, _SWATCHES + 1)]
    swatches = "".join(
        f'<span style="background:{_translucent(hue(signed, part < 0), abs(part))}">&emsp;</span>'
        for part in scale
    )
    low = f"{'≤ ' if beyond else ''}{percent(-domain)}" if signed else percent(0.0)
    high = f"{'≥ ' if beyond else ''}{percent(domain)}"
    about = escape(shown(figure.spec["score_label"]))
    missing = bool(np.isnan(figure.matrix(number)).any())
    grey = "; grey: no score, for it comes after the step" if missing else ""
    return f"{about}, share of the step’s total: {low} {swatches} {high}{grey}."


def _top_table(figure: Figure, number: int) -> str:
    rows = []
    for step in top_steps(figure, number, _TOP):
        inputs = ", ".join(
            f"{_isolated(visible_label(token, _LONGEST_ROW_LABEL))} {percent(share)}"
            for token, share in step.inputs
        )
        label = _isolated(visible_label(step.token, _LONGEST_ROW_LABEL))
        probability = percent(step.probability)
        rows.append(f"<tr><td>{step.step}<td>{label}<td>{probability}<td>{inputs}")
    head = "<tr><th>Step<th>Token<th>Probability<th>Inputs with the largest shares"
    return (
        f"<details><summary>Top attributions</summary><table>{head}{''.join(rows)}"
        "</table></details>"
    )
