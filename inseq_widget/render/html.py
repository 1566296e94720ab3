"""A heatmap as HTML without script: for saved notebooks, exports and pages without a kernel.

What a notebook's sanitiser takes away (scripts, style elements, SVG, ARIA and data attributes,
rotated text, the picture's hard pixel edges) is either absent or missed by nobody: colours and
sizes are inline, and labels and pixels of the matrix are aligned by line heights alone.
"""

from __future__ import annotations

from html import escape

import numpy as np
from rich.cells import cell_len

from inseq_widget.explore.figure import Figure, make_figure
from inseq_widget.explore.protocol import TokenSpec
from inseq_widget.render.colours import Rgb, hue
from inseq_widget.render.headline import headline, opening, provenance, size, text_blocks
from inseq_widget.render.numbers import counted, percent
from inseq_widget.render.png import picture_url
from inseq_widget.render.scale import Scale
from inseq_widget.render.table import data_table, isolated
from inseq_widget.render.top import top_steps
from inseq_widget.render.view import PLAIN, Look, View, views_of
from inseq_widget.render.visible import is_right_to_left, shown, visible_label, visible_text
from inseq_widget.results import FeatureAttributionOutput

CELL = 16  # pixels, width and height
# With more of it, text of a page's own colour could not be read on it, on white or on black.
MOST_OPAQUE_TEXT = 0.55
_LABEL_WIDTH = 132
LONGEST_ROW_LABEL = 18
LONGEST_COLUMN_LABEL = 14
_CHARACTER = 7  # pixels, the width of a wide letter at the labels' size
_TOP = 5
_SWATCHES = 4  # on each side of nothing
# Below this part of the largest a token is left without shade and number: nobody sees the one,
# and long texts stay small.
_LEAST_SHADE = 0.02


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


def static_html_of(figure: Figure, look: Look = PLAIN, *, tables: bool = False) -> str:
    """Do the work of :func:`static_html` for a figure.

    Parameters
    ----------
    figure : Figure
    look : Look
        What of it, and how.
    tables : bool, default False
        Write every number as a table, too.
    """
    spec = figure.spec
    parts = [
        '<div class="inseq-static">',
        f"<p><b>{escape(headline(spec))}</b> · {escape(provenance(spec))}</p>",
    ]
    for number, view in enumerate(views_of(figure, look)):
        if len(spec["sequences"]) > 1:
            of = f"Text {number + 1} of {len(spec['sequences'])}"
            parts.append(f"<p><b>{of}</b>: <bdi>{escape(opening(view.sequence))}</bdi></p>")
        folded = f"<summary>{size(view.sequence)}</summary>{matrix(view)}"
        parts += [running_text(view), f"<details open>{folded}</details>", top_table(view)]
        if tables:
            parts.append(data_table(view))
    if not spec["sequences"]:
        parts.append("<p>No text was attributed.</p>")
    return "".join([*parts, "</div>"])


def running_text(view: View) -> str:
    """Write the texts of a sequence, each token shaded by its mean."""
    means = view.means
    present = np.abs(means[~np.isnan(means)])
    largest = float(present.max()) if present.size else 0.0
    scale = Scale(-largest if view.scale.signed else 0.0, largest or 1.0, view.scale.signed)
    mean_of = dict(zip(view.sequence["inputs"], means.tolist(), strict=True))
    parts = []
    for name, tokens in text_blocks(view.sequence):
        numbers = [mean_of.get(at, float("nan")) for at, _ in tokens]
        spans = "".join(
            span(token, mean, scale, view.written(mean))
            for (_, token), mean in zip(tokens, numbers, strict=True)
        )
        parts.append(f"{paragraph([token for _, token in tokens])}<b>{name}</b> {spans}</p>")
    what = "share" if view.shares else "score"
    caption = f"Shaded by mean {what} over {counted(len(view.sequence['steps']), 'step')}"
    return "".join(parts) + f"<p><small>{caption}, {view.written(largest)} at most.</small></p>"


def paragraph(tokens: list[TokenSpec]) -> str:
    """Begin a paragraph of tokens, in their writing direction."""
    rtl = is_right_to_left("".join(token["text"] for token in tokens))
    return f'<p style="white-space:pre-wrap;line-height:1.7"{" dir=rtl" if rtl else ""}>'


def span(
    token: TokenSpec, value: float, scale: Scale, written: str, text: str | None = None
) -> str:
    """Write a token of a running text, shaded by a number of its own.

    Parameters
    ----------
    token : TokenSpec
    value : float
        The number; a missing one is NaN.
    scale : Scale
    written : str
        What pointing at it says.
    text : str, optional
        Escaped text in the place of the token's own.
    """
    if text is None:
        text = escape(visible_text(token)).replace("\n", "<br>")
    strength = scale.strength(value)
    if not abs(strength) >= _LEAST_SHADE:
        return text
    colour = translucent(hue(scale.signed, strength < 0), MOST_OPAQUE_TEXT * abs(strength))
    return f'<span style="background:{colour}" title="{escape(written)}">{text}</span>'


def translucent(colour: Rgb, opacity: float) -> str:
    """Write a colour with its opacity as ``#rrggbbaa``."""
    return "#" + "".join(f"{channel:02x}" for channel in (*colour, round(255 * opacity)))


def matrix(view: View) -> str:
    """Write a matrix as a picture with its labels and its legend."""
    rows = [visible_label(token, LONGEST_ROW_LABEL) for token in view.row_tokens]
    columns = view.column_tokens
    width, height = CELL * len(columns), CELL * len(rows)
    head = "".join(
        f'<span style="flex:none;width:{CELL}px;overflow:hidden;writing-mode:vertical-rl"'
        f' title="{escape(visible_label(token))}">'
        f"{isolated(visible_label(token, LONGEST_COLUMN_LABEL))}</span>"
        for token in columns
    )
    labels = "<br>".join(map(isolated, rows))
    return (
        '<div style="overflow-x:auto;font-size:11px">'
        f'<div style="display:flex;padding-left:{_LABEL_WIDTH + 4}px;height:'
        f"{head_height(columns)}px;line-height:{CELL}px;text-align:right;"
        f'word-break:break-all">{head}</div>'
        '<div style="display:flex">'
        f'<div style="flex:none;width:{_LABEL_WIDTH}px;padding-right:4px;line-height:{CELL}px;'
        f'white-space:pre;overflow:hidden;text-align:right">{labels}</div>'
        f'<img alt="{escape(described(view))}" width="{width}" height="{height}" '
        f'style="flex:none;width:{width}px;height:{height}px;max-width:none;'
        f'image-rendering:pixelated" src="{picture_url(view)}"></div></div>'
        f"<p><small>{legend(view)}</small></p>"
    )


def head_height(columns: list[TokenSpec]) -> int:
    """Say how high the labels above a matrix are, in pixels."""
    longest = max((cell_len(visible_label(t, LONGEST_COLUMN_LABEL)) for t in columns), default=0)
    return _CHARACTER * longest + 4


def described(view: View) -> str:
    """Say what the picture of a matrix shows."""
    return f"Heatmap of {headline(view.spec)}: {size(view.sequence)}, inputs down, steps across"


def legend(view: View) -> str:
    """Say what the colours of a matrix mean, and what it leaves out."""
    about = escape(shown(view.spec["score_label"]))
    grey = "; grey: no score, for it comes after the step" if view.has_missing else ""
    left_out = f" {view.left_out}" if view.left_out else ""
    return f"{about}, {view.unit}: {colour_bar(view)}{grey}.{left_out}"


def colour_bar(view: View) -> str:
    """Draw the colour scale of a matrix between its ends."""
    scale = view.scale
    first = round(_SWATCHES * scale.low / scale.bound) if scale.signed else 0
    last = round(_SWATCHES * scale.high / scale.bound) if scale.signed else _SWATCHES
    swatches = "".join(
        f'<span style="background:{translucent(hue(scale.signed, part < 0), abs(part))}">'
        "&emsp;</span>"
        for part in (step / _SWATCHES for step in range(first, last + 1))
    )
    low, high = view.ends
    return f"{low} {swatches} {high}"


def top_table(view: View) -> str:
    """Write the largest numbers of every step as a table that opens on demand."""
    rows = []
    for step in top_steps(view, _TOP):
        inputs = ", ".join(
            f"{isolated(visible_label(token, LONGEST_ROW_LABEL))} {view.written(value)}"
            for token, value in step.inputs
        )
        label = isolated(visible_label(step.token, LONGEST_ROW_LABEL))
        rows.append(f"<tr><td>{step.step}<td>{label}<td>{percent(step.probability)}<td>{inputs}")
    of = "shares" if view.shares else "scores"
    head = f"<tr><th>Step<th>Token<th>Probability<th>Inputs with the largest {of}"
    return (
        f"<details><summary>Top attributions</summary><table>{head}{''.join(rows)}"
        "</table></details>"
    )
