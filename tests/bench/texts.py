"""The texts that are attributed: fixed short ones, and long prompts of any number of tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

PROMPT = (
    "The lighthouse keeper climbed the narrow stairs every evening, lit the great lamp, and wrote "
    "the weather, the tides and the names of passing ships in his old leather"
)
CONTINUATION = (
    " logbook. One stormy night in November the lamp went dark, and by morning three fishing boats "
    "had run aground on the rocks that his light was there to mark."
)
SOURCE = (
    "the old miller walked down to the river in the morning , opened the heavy gate , and watched "
    "how the slow brown water turned his wheel while the bread rose"
)
TRANSLATION = (
    "la mattina il vecchio mugnaio scendeva al fiume , apriva la pesante porta , e guardava come "
    "la lenta acqua bruna girava la sua ruota mentre il pane lievitava piano nella madia ."
)
PASSAGE = (
    "Day {day}. The wind came from the north and the sea was grey until noon. We mended the nets "
    "on the long quay, counted {fish} baskets of herring, and sold most of them to the woman who "
    "keeps the inn at the corner of the market. She asked about the boat from the islands, which "
    "nobody had seen since the last full moon, and the harbour master said that it would come "
    "with the spring tide or not at all. In the evening the children lit a fire on the beach, and "
    "the oldest sailor told them how he had once crossed the strait in a storm without a mast. "
)


@dataclass(frozen=True)
class Text:
    """What a case attributes, told by its size.

    Attributes
    ----------
    kind : {"short", "translation", "long"}
        The two fixed texts, or a logbook that is cut where it has the wanted number of tokens.
    inputs, targets : int
        Tokens of the prompt or source, and forced targets; a run that finds others stops.
    """

    kind: str
    inputs: int
    targets: int


SHORT = Text("short", 32, 34)
TRANSLATED = Text("translation", 32, 34)


def long(inputs: int, targets: int) -> Text:
    """Return a prompt of many tokens with some targets."""
    return Text("long", inputs, targets)


def written(
    text: Text, encode: Callable[[str], list[int]], decode: Callable[[list[int]], str]
) -> tuple[str, str]:
    """Return input and target as `attribute` takes them.

    Parameters
    ----------
    text : Text
    encode, decode : callable
        A tokenizer's; only long texts are cut with them.

    Returns
    -------
    tuple of str
        Input text and forced text; the latter begins with the prompt, unless it is a translation.
    """
    if text.kind == "translation":
        return SOURCE, TRANSLATION
    if text.kind == "short":
        return PROMPT, PROMPT + CONTINUATION
    wanted = text.inputs + text.targets
    log, ids = "", list[int]()
    while len(ids) < wanted:
        day = 1 + log.count("Day ")
        log += PASSAGE.format(day=day, fish=3 + 7 * day % 40)
        ids = encode(log) if len(log) > 3 * wanted else []
    return decode(ids[: text.inputs]), decode(ids[:wanted])
