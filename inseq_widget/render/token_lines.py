"""One line for each generated token, which opens into the text that it came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from inseq_widget.explore.figure import Figure, make_figure
from inseq_widget.explore.protocol import SequenceSpec, TokenSpec
from inseq_widget.render.console import Painter, print_heading, print_which
from inseq_widget.render.headline import headline, opening, provenance, text_blocks
from inseq_widget.render.html import colour_bar, paragraph, span
from inseq_widget.render.numbers import percent, three_digits
from inseq_widget.render.scale import Scale
from inseq_widget.render.table import isolated
from inseq_widget.render.view import Look, View, views_of
from inseq_widget.render.visible import shown, visible_label, visible_text
from inseq_widget.results import FeatureAttributionOutput

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure

WrapAfter = int | str | Sequence[str]

_TOP = 3
_LONGEST_LABEL = 18


@dataclass(frozen=True)
class TokenLine:
    """A generated token and the text that it came from.

    Attributes
    ----------
    step : int
    token : TokenSpec
    highlight : float or None
        The step score that colours it.
    blocks : list of (str, list of (TokenSpec, float, bool))
        By the side's name: the tokens, their numbers, and whether the line ends after one.
    top : list of (TokenSpec, float)
        The inputs with the largest numbers.
    """

    step: int
    token: TokenSpec
    highlight: float | None
    blocks: list[tuple[str, list[tuple[TokenSpec, float, bool]]]]
    top: list[tuple[TokenSpec, float]]


class TokenLines:
    """The generated tokens of a result, one line each.

    Parameters
    ----------
    output : FeatureAttributionOutput
    look : Look
    replace_char : mapping of str to str, optional
        What is written in the place of what, in every token.
    wrap_after : int, str or sequence of str, optional
        Where the text of an opened line is broken, see :func:`ends_line`.
    step_score_highlight : str, optional
        The step score that colours the generated tokens.

    Raises
    ------
    ValueError
        For a step score that the result does not have, for a colour scale that the scores cannot
        have, and for a line length below 1.
    """

    def __init__(
        self,
        output: FeatureAttributionOutput,
        look: Look,
        *,
        replace_char: Mapping[str, str] | None = None,
        wrap_after: WrapAfter | None = None,
        step_score_highlight: str | None = None,
    ) -> None:
        if not isinstance(wrap_after, int | str | Sequence | None):
            raise TypeError(
                f"wrap_after: {wrap_after!r} given; a number of tokens, a text or a list of texts "
                "works."
            )
        if isinstance(wrap_after, int) and wrap_after < 1:
            raise ValueError(f"wrap_after: {wrap_after} given; choose 1 token or more.")
        if not isinstance(replace_char, Mapping | None):
            raise TypeError(
                f"replace_char: {replace_char!r} given; a mapping from text to text works."
            )
        if replace_char and "" in replace_char:
            raise ValueError("replace_char: '' cannot be replaced; name the characters.")
        self.wrap_after = wrap_after
        self.highlight = step_score_highlight
        self.spec_figure = _with_replaced(make_figure(output), replace_char or {})
        self.views = views_of(self.spec_figure, look)
        self.step_scale = self._step_scale()

    def _step_scale(self) -> Scale:
        name = self.highlight
        if name is None:
            return Scale(0.0, 1.0, signed=False)
        steps = [step for view in self.views for step in view.sequence["steps"]]
        known = sorted({known for step in steps for known in step["step_scores"]})
        if steps and name not in known:
            have = f"this result has {', '.join(known)}" if known else "this result has none"
            raise ValueError(
                f"step_score_highlight: {name!r} given, but {have}; "
                f"attribute(..., step_scores=[{name!r}]) adds it."
            )
        values = [value for step in steps if (value := step["step_scores"].get(name)) is not None]
        largest = max(map(abs, values), default=0.0) or 1.0
        signed = any(value < 0 for value in values)
        return Scale(-largest if signed else 0.0, largest, signed)

    def lines(self, view: View) -> Iterator[TokenLine]:
        """Go through the generated tokens of a sequence."""
        blocks = text_blocks(view.sequence)
        tokens, inputs = view.sequence["tokens"], view.sequence["inputs"]
        for place, column in enumerate(view.columns):
            step = view.sequence["steps"][column]
            found = zip(inputs, view.values[:, place].tolist(), strict=True)
            values = {at: value for at, value in found if not np.isnan(value)}
            top = sorted(values.items(), key=lambda pair: -abs(pair[1]))[:_TOP]
            yield TokenLine(
                step=column,
                token=tokens[step["token"]],
                highlight=step["step_scores"].get(self.highlight) if self.highlight else None,
                blocks=self._scored(blocks, values),
                top=[(tokens[at], value) for at, value in top if value],
            )

    def _scored(
        self, blocks: list[tuple[str, list[tuple[int, TokenSpec]]]], values: dict[int, float]
    ) -> list[tuple[str, list[tuple[TokenSpec, float, bool]]]]:
        """Keep the tokens that have a number, and say where lines end."""
        scored = []
        for name, tokens in blocks:
            kept = [(token, values[at]) for at, token in tokens if at in values]
            if kept:
                lines = [
                    (token, value, ends_line(token, number, self.wrap_after))
                    for number, (token, value) in enumerate(kept, start=1)
                ]
                scored.append((name, lines))
        return scored

    def step_score(self, line: TokenLine) -> str:
        """Write the step score that colours a token; empty where none does."""
        if self.highlight is None:
            return ""
        is_part = self.highlight == "probability" and self.step_scale.low >= 0
        written = percent if is_part else three_digits
        return f"{shown(self.highlight).replace('_', ' ')} {written(line.highlight)}"

    def print_to(self, console: Console) -> None:
        """Print every generated token, and below it the highlighted text before it."""
        print_heading(console, self.spec_figure.spec)
        for number, view in enumerate(self.views):
            print_which(console, view.sequence, number, len(self.views))
            painter = Painter(console, view)
            steps = Painter(console, replace(view, scale=self.step_scale))
            for line in self.lines(view):
                console.print(_console_head(self, view, steps, line))
                for name, tokens in line.blocks:
                    text = Text().append(f"{name}: ", style="dim")
                    for token, value, ends in tokens:
                        painter.append(text, visible_text(token), value, view.scale)
                        text.append("\n" if ends else "")
                    console.print(Padding(text, (0, 0, 0, 4), expand=False))
            _print_legend(console, painter, view)

    def html(self) -> str:
        """Write a foldable line for every generated token, without script."""
        spec = self.spec_figure.spec
        parts = [
            '<div class="inseq-static">',
            f"<p><b>{escape(headline(spec))}</b> · {escape(provenance(spec))}</p>",
        ]
        for number, view in enumerate(self.views):
            if len(self.views) > 1:
                words = escape(opening(view.sequence))
                of = f"Text {number + 1} of {len(self.views)}"
                parts.append(f"<p><b>{of}</b>: <bdi>{words}</bdi></p>")
            parts += [_foldable(self, view, line) for line in self.lines(view)]
            about = escape(shown(view.spec["score_label"]))
            parts.append(f"<p><small>{about}, {view.unit}: {colour_bar(view)}.</small></p>")
        if not self.views:
            parts.append("<p>No text was attributed.</p>")
        return "".join([*parts, "</div>"])

    def figure(self) -> MatplotlibFigure:
        """Draw the generated tokens with the text before each for a paper."""
        from inseq_widget.render.plot_tokens import tokens_figure

        return tokens_figure(self)


def ends_line(token: TokenSpec, number: int, wrap_after: WrapAfter | None) -> bool:
    """Say whether a text is broken after a token.

    Parameters
    ----------
    token : TokenSpec
    number : int
        Which one of its side it is, counted from 1.
    wrap_after : int, str or sequence of str, optional
        After so many tokens each; or after a token of such a text, or of one of such texts,
        spaces around it aside. A text of several punctuation marks, such as ``".!?"``, also means
        each of them.
    """
    if wrap_after is None:
        return False
    if isinstance(wrap_after, int):
        return number % wrap_after == 0
    text = token["text"].strip()
    if isinstance(wrap_after, str):
        marks = not any(character.isalnum() or character.isspace() for character in wrap_after)
        return text in {wrap_after.strip(), *(wrap_after if marks else ())} - {""}
    return text in {each.strip() for each in wrap_after} - {""}


def _with_replaced(figure: Figure, replace_char: Mapping[str, str]) -> Figure:
    if not replace_char:
        return figure
    sequences: list[SequenceSpec] = [
        {**sequence, "tokens": [_replaced(token, replace_char) for token in sequence["tokens"]]}
        for sequence in figure.spec["sequences"]
    ]
    return replace(figure, spec={**figure.spec, "sequences": sequences})


def _replaced(token: TokenSpec, replace_char: Mapping[str, str]) -> TokenSpec:
    text, piece = token["text"], token["piece"]
    for old, new in replace_char.items():
        text, piece = text.replace(old, new), piece.replace(old, new)
    return {**token, "text": text, "piece": piece}


def _console_head(picture: TokenLines, view: View, painter: Painter, line: TokenLine) -> Text:
    head = Text().append(f"{line.step:>3} ", style="dim")
    value = float("nan") if line.highlight is None else line.highlight
    label = Text(visible_label(line.token, _LONGEST_LABEL), style="bold")
    label.stylize(painter.style(value, picture.step_scale))
    head.append_text(label)
    if picture.highlight is not None:
        head.append(f"  {picture.step_score(line)}", style="dim")
    tops = (f"{visible_label(t, _LONGEST_LABEL)} {view.written(v)}" for t, v in line.top)
    return head.append(f"  ← {', '.join(tops)}" if line.top else "", style="dim")


def _print_legend(console: Console, painter: Painter, view: View) -> None:
    low, high = view.ends
    label = shown(view.spec["score_label"])
    text = Text(f"\n{label}, {view.unit}: {low} to {high}", style="dim")
    if not painter.coloured:
        text.append("; brackets mark what has a quarter of the end of the scale or more")
    console.print(text)


def _foldable(picture: TokenLines, view: View, line: TokenLine) -> str:
    label = _highlighted(picture, line)
    tops = ", ".join(
        f"{isolated(visible_label(token, _LONGEST_LABEL))} {view.written(value)}"
        for token, value in line.top
    )
    score = escape(picture.step_score(line))
    notes = " · ".join(note for note in (score, f"← {tops}" if tops else "") if note)
    blocks = "".join(
        f"{paragraph([token for token, *_ in tokens])}<b>{name}</b> {_spans(tokens, view)}</p>"
        for name, tokens in line.blocks
    )
    return (
        f"<details><summary>{line.step} <b>{label}</b> <small>{notes}</small></summary>"
        f'<div style="padding-left:1.5em">{blocks}</div></details>'
    )


def _highlighted(picture: TokenLines, line: TokenLine) -> str:
    label = isolated(visible_label(line.token))
    if line.highlight is None:
        return label
    return span(line.token, line.highlight, picture.step_scale, picture.step_score(line), label)


def _spans(tokens: list[tuple[TokenSpec, float, bool]], view: View) -> str:
    """Write the tokens of a side, with a line break after those that end a line."""
    return "".join(
        span(token, value, view.scale, view.written(value)) + ("<br>" if ends else "")
        for token, value, ends in tokens
    )
