"""One HTML page with heatmaps, live or static, that needs neither a kernel nor a network."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from html import escape

from inseq_widget.explore.figure import Figure, make_figure
from inseq_widget.render.bundle import STANDALONE_SCRIPT, require
from inseq_widget.render.headline import headline
from inseq_widget.render.page import section, style_sheet
from inseq_widget.render.visible import shown
from inseq_widget.results import FeatureAttributionOutput

_POLICY = "default-src 'none'; {script}style-src 'unsafe-inline'; img-src data:"
_STYLE = """
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;max-width:75rem;margin:0 auto;padding:1rem;\
background:#fff;color:#1c1d21}
h1{font-size:1.3rem;margin:.5rem 0}
h2{font-size:1.1rem;margin:2rem 0 .5rem}
h3{font-size:1rem;margin:1.5rem 0 .5rem}
@media(prefers-color-scheme:dark){body{background:#111214;color:#e9e9ec}}
"""
_ENDS_SCRIPT = re.compile(r"</script|<!--", re.IGNORECASE)


def standalone_page(outputs: Sequence[FeatureAttributionOutput], title: str | None = None) -> str:
    """Write results as one page that opens in any browser.

    Parameters
    ----------
    outputs : sequence of FeatureAttributionOutput
        One live heatmap for each; without script, the same as a static picture.
    title : str, optional
        By default method and model, where there is one result.

    Returns
    -------
    str
        The page. It loads nothing, and its own policy forbids it to.

    Raises
    ------
    ValueError
        When there is nothing to show.
    MissingBundle
        In a clone whose front end has not been built.
    """
    script = require(STANDALONE_SCRIPT).read_text(encoding="utf-8")
    if _ENDS_SCRIPT.search(script):
        raise RuntimeError(f"{STANDALONE_SCRIPT.name}: its text would end a script element.")
    figures = _figures(outputs)
    sections = [
        _live_section(figure, number, alone=len(figures) == 1)
        for number, figure in enumerate(figures, start=1)
    ]
    body = f"{''.join(sections)}<script>{script}</script>\n"
    return _page(figures, title, body, "script-src 'unsafe-inline'; ")


def static_page(outputs: Sequence[FeatureAttributionOutput], title: str | None = None) -> str:
    """Write results as one page without any script.

    Parameters
    ----------
    outputs : sequence of FeatureAttributionOutput
        One section for each, with the text, the matrix as a picture, and tables of its numbers.
    title : str, optional
        By default method and model, where there is one result.

    Returns
    -------
    str
        The page. It loads nothing, and its own policy forbids it to.

    Raises
    ------
    ValueError
        When there is nothing to show.
    """
    figures = _figures(outputs)
    alone = len(figures) == 1
    sections = [_static_section(figure, alone=alone, tables=True) for figure in figures]
    body = "".join(f"<section>\n{each}</section>\n" for each in sections)
    return _page(figures, title, body, "")


def _figures(outputs: Sequence[FeatureAttributionOutput]) -> list[Figure]:
    if not outputs or not all(len(output) for output in outputs):
        raise ValueError("outputs: each needs at least one attributed text; some have none.")
    return [make_figure(output) for output in outputs]


def _page(figures: list[Figure], title: str | None, body: str, script_policy: str) -> str:
    name = shown(title) if title is not None else _title(figures)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" '
        f'content="{_POLICY.format(script=script_policy)}">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<title>{escape(name)}</title>\n<style>{_STYLE}{style_sheet()}</style>\n</head>\n"
        f"<body>\n<main>\n<h1>{escape(name)}</h1>\n{body}</main>\n</body>\n</html>\n"
    )


def _title(figures: list[Figure]) -> str:
    return _name(figures[0]) if len(figures) == 1 else "Feature attributions"


def _name(figure: Figure) -> str:
    return f"{headline(figure.spec)}, {shown(figure.spec['model'])}"


def _static_section(figure: Figure, *, alone: bool, tables: bool) -> str:
    heading = "" if alone else f"<h2>{escape(_name(figure))}</h2>\n"
    return heading + section(figure, tables=tables, level=2 if alone else 3)


def _live_section(figure: Figure, number: int, *, alone: bool) -> str:
    state: dict[str, object] = {
        "spec": figure.spec,
        "scores": base64.b64encode(figure.scores).decode("ascii"),
        "selection": {"sequence": 0, "inputs": [], "steps": []},
        "theme": "auto",
    }
    heading = "" if alone else f"<h2>{escape(_name(figure))}</h2>\n"
    static = section(figure, tables=False, level=2 if alone else 3)
    return (
        f"<section>\n{heading}<noscript>{static}</noscript>\n"
        f'<div data-inseq-widget="inseq-{number}"></div>\n'
        f'<script type="application/json" id="inseq-{number}">{_json(state)}</script>\n</section>\n'
    )


def _json(state: dict[str, object]) -> str:
    # ASCII alone: neither a token's markup nor an invisible separator can end the element.
    text = json.dumps(state, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
