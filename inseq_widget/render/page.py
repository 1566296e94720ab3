"""The sections of a page of its own: one for each result, read without script by eye and ear."""

from __future__ import annotations

from html import escape

import numpy as np

from inseq_widget.explore.figure import Figure
from inseq_widget.explore.protocol import TokenSpec
from inseq_widget.render.colours import hue
from inseq_widget.render.headline import headline, opening, provenance, size, text_blocks
from inseq_widget.render.html import (
    CELL,
    LONGEST_COLUMN_LABEL,
    LONGEST_ROW_LABEL,
    MOST_OPAQUE_TEXT,
    colour_bar,
    described,
    head_height,
    translucent,
)
from inseq_widget.render.numbers import counted, percent
from inseq_widget.render.png import picture_url
from inseq_widget.render.scale import Scale
from inseq_widget.render.table import data_table, isolated
from inseq_widget.render.top import top_steps
from inseq_widget.render.view import View, views_of
from inseq_widget.render.visible import is_right_to_left, shown, visible_label, visible_text

# Shades of running text: so few that each is a class of the style sheet.
_SHADES = 12
_TOP = 3


def _shade_rules() -> str:
    rules = []
    for name, (signed, negative) in {
        "u": (False, False),
        "p": (True, False),
        "n": (True, True),
    }.items():
        for shade in range(1, _SHADES + 1):
            colour = translucent(hue(signed, negative), MOST_OPAQUE_TEXT * shade / _SHADES)
            rules.append(f".{name}{shade}{{background:{colour}}}")
    return "".join(rules)


STYLE = (
    ".t{white-space:pre-wrap;line-height:1.8}.t b{font-size:.8rem;opacity:.75}"
    ".t i{font-style:normal;border-radius:2px}"
    ".m{overflow-x:auto;font-size:11px;padding:2px}.m div{display:flex}"
    f".m span{{flex:none;width:{CELL}px;overflow:hidden;writing-mode:vertical-rl;"
    "text-align:right}"
    f".m div,.m p{{line-height:{CELL}px}}"
    ".m p{flex:none;width:132px;margin:0;padding-right:4px;white-space:pre;overflow:hidden;"
    "text-align:right}"
    ".m img{flex:none;max-width:none;image-rendering:pixelated}"
    "figure{margin:1rem 0}figcaption,.c{font-size:.85rem}"
    "summary{cursor:pointer;padding:.25rem 0}"
    "table{border-collapse:collapse;font-size:.85rem}"
    "caption{text-align:left;padding:.25rem 0}"
    "td,th{padding:1px 6px;text-align:right;font-weight:400;white-space:nowrap}"
    "th{opacity:.85}.l{text-align:left;white-space:normal}"
    ":focus-visible{outline:2px solid currentcolor;outline-offset:2px}"
)


def section(figure: Figure, *, tables: bool, level: int = 2) -> str:
    """Write the heatmaps of a result.

    Parameters
    ----------
    figure : Figure
    tables : bool
        With every number in a table.
    level : int, default 2
        Of the headings of several texts.

    Returns
    -------
    str
        It needs :data:`STYLE`.
    """
    spec = figure.spec
    steps = sum(len(sequence["steps"]) for sequence in spec["sequences"])
    parts = [
        f"<p class=c>{escape(headline(spec))} · {escape(provenance(spec))} · "
        f"{counted(len(spec['sequences']), 'text')}, {counted(steps, 'generated token')}</p>"
    ]
    views = views_of(figure)
    for number, view in enumerate(views, start=1):
        if len(views) > 1:
            of = f"Text {number} of {len(views)}"
            words = f"<bdi>{escape(opening(view.sequence))}</bdi>"
            parts.append(f"<h{level}>{of}: {words}</h{level}>")
        parts += [_text(view), _figure(view), _top_table(view)]
        if tables:
            parts.append(data_table(view))
    return "".join(parts)


def style_sheet() -> str:
    """Give the style sheet of the sections."""
    return STYLE + _shade_rules()


def _text(view: View) -> str:
    means = view.means
    present = np.abs(means[~np.isnan(means)])
    largest = float(present.max()) if present.size else 0.0
    scale = Scale(-largest if view.scale.signed else 0.0, largest or 1.0, view.scale.signed)
    mean_of = dict(zip(view.sequence["inputs"], means.tolist(), strict=True))
    parts = []
    for name, tokens in text_blocks(view.sequence):
        rtl = is_right_to_left("".join(token["text"] for _, token in tokens))
        spans = "".join(
            _shaded(token, mean_of.get(at, float("nan")), scale) for at, token in tokens
        )
        direction = " dir=rtl" if rtl else ""
        parts.append(f"<p class=t{direction}><b>{name}</b> {spans}</p>")
    caption = f"Shaded by mean share over {counted(len(view.sequence['steps']), 'step')}"
    return f"{''.join(parts)}<p class=c>{caption}, {percent(largest)} at most.</p>"


def _shaded(token: TokenSpec, mean: float, scale: Scale) -> str:
    text = escape(visible_text(token)).replace("\n", "<br>")
    strength = scale.strength(mean)
    shade = 0 if np.isnan(strength) else round(_SHADES * abs(strength))
    if not shade:
        return text
    name = "u" if not scale.signed else "n" if strength < 0 else "p"
    return f"<i class={name}{shade} title={_unspaced(percent(mean))}>{text}</i>"


def _unspaced(written: str) -> str:
    """Write a percentage as an attribute that needs no quotes."""
    return written.replace(" ", "").replace("<", "&lt;")


def _figure(view: View) -> str:
    columns = view.column_tokens
    heads = "".join(
        f"<span>{isolated(visible_label(token, LONGEST_COLUMN_LABEL))}</span>" for token in columns
    )
    rows = (isolated(visible_label(token, LONGEST_ROW_LABEL)) for token in view.row_tokens)
    width, height = CELL * len(columns), CELL * len(view.rows)
    grey = "; grey: no score, for it comes after the step" if view.has_missing else ""
    about = escape(shown(view.spec["score_label"]))
    return (
        "<figure><div class=m tabindex=0 role=group aria-label=Heatmap>"
        f'<div aria-hidden=true style="padding-left:136px;height:{head_height(columns)}px">'
        f"{heads}</div><div><p aria-hidden=true>{'<br>'.join(rows)}</p>"
        f'<img alt="{escape(_spoken(view))}" width={width} height={height} '
        f'src="{picture_url(view)}"></div></div>'
        f"<figcaption>{size(view.sequence)}. {about}, {view.unit}: {colour_bar(view)}{grey}."
        "</figcaption></figure>"
    )


def _spoken(view: View) -> str:
    """Say what a heatmap shows to whoever cannot see it: where its largest number is."""
    values = np.abs(np.nan_to_num(view.values))
    if not values.any():
        return f"{described(view)}."
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    source = visible_label(view.row_tokens[row], LONGEST_ROW_LABEL)
    step = visible_label(view.column_tokens[column], LONGEST_ROW_LABEL)
    largest = view.written(float(view.values[row, column]))
    return f"{described(view)}. The largest is {largest}, of {source} for {step}."


def _top_table(view: View) -> str:
    rows = []
    for step in top_steps(view, _TOP):
        inputs = ", ".join(
            f"{isolated(visible_label(token, LONGEST_ROW_LABEL))} {view.written(value)}"
            for token, value in step.inputs
        )
        label = isolated(visible_label(step.token, LONGEST_ROW_LABEL))
        probability = percent(step.probability)
        rows.append(
            f"<tr><td>{step.step}<th scope=row>{label}<td>{probability}<td class=l>{inputs}"
        )
    head = "<th scope=col>Step<th scope=col>Token<th scope=col>Probability"
    return (
        "<details><summary>Largest shares of each step</summary><table>"
        f"<caption>The {_TOP} inputs with the largest share of each step.</caption>"
        f"<tr>{head}<th scope=col class=l>Largest shares{''.join(rows)}</table></details>"
    )
