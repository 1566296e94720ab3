"""The table of what is measured, against what, and within which limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from texts import SHORT, TRANSLATED, Text, long

Keywords = Mapping[str, str | int | float]
"""Of a method. Spans called ``"prompt"`` are the prompt's tokens, one span each."""

LARGEST_DIFFERENCE = 3e-4
"""Allowed difference to the peer's scores, as a fraction of the peer's largest score."""
LARGEST_EXPONENT = 1.4
"""Allowed growth of the cost of a token: 1 is linear in the prompt's length, 2 is quadratic. The
multiply-adds themselves grow a little faster than linearly, since attention is quadratic."""
CAPTUM = 1.5
"""How many times faster than captum's own wrappers every case has to be."""


@dataclass(frozen=True)
class Numbers:
    """Which scores of the two sides are compared.

    Attributes
    ----------
    features : {"norm", "sum"} or None
        How the features of vector-valued scores are reduced; None compares entry by entry.
    layer : int or None
        The one of own side's layers that the peer has.
    inputs, steps : int or None
        Only so many of the first inputs and steps are defined alike.
    largest : float or None
        Limit of the largest difference, as a fraction of the largest score; None for no limit.
    same : bool
        Whether there is anything to compare: not for methods that sample.
    """

    features: str | None = None
    layer: int | None = None
    inputs: int | None = None
    steps: int | None = None
    largest: float | None = LARGEST_DIFFERENCE
    same: bool = True


@dataclass(frozen=True)
class Case:
    """One job that a peer does, too.

    Attributes
    ----------
    name : str
    method : str
        Name of the method on the own side, and on Inseq's.
    at_least : float
        Limit: the median over the rounds of (peer's seconds / own seconds) must reach it.
    rounds : int
        Timed rounds, after one warm-up run of each side.
    peers : tuple of str
        Workers to compare with; a later one takes part only where the earlier ones fail.
    own, peer : mapping
        Keywords of the method on either side.
    attributed_fn : str
        What is explained: a step function's name, or one of `worker_widget.py`.
    text : Text
    numbers : Numbers
    peer_counts : int
        The peer's seconds count so many times: it does so much less in one call.
    half : bool
        Run the own side in bfloat16, too, against the same peer.
    half_at_least : float or None
        Limit of that.
    no_more_memory : bool
        The own process may not need more memory at its peak than the peer's.
    note : str
        What a reader has to know, for the report.
    """

    name: str
    method: str
    at_least: float
    rounds: int
    peers: tuple[str, ...] = ("inseq",)
    own: Keywords = field(default_factory=dict)
    peer: Keywords = field(default_factory=dict)
    attributed_fn: str = "probability"
    text: Text = SHORT
    numbers: Numbers = Numbers()
    peer_counts: int = 1
    half: bool = True
    half_at_least: float | None = None
    no_more_memory: bool = False
    note: str = ""


@dataclass(frozen=True)
class Allowance:
    """A long text that has to fit in memory; the own side alone.

    Attributes
    ----------
    at_most : float
        Megabytes above the loaded model.
    """

    name: str
    method: str
    text: Text
    at_most: float


@dataclass(frozen=True)
class Growth:
    """The cost of a generated token over the length of the prompt; the own side alone."""

    name: str
    method: str
    texts: tuple[Text, ...]
    rounds: int


@dataclass(frozen=True)
class Drawing:
    """A large matrix in a real browser; the widget alone, without a model.

    Attributes
    ----------
    name : str
    inputs, steps : int
    rounds : int
        Fresh pages.
    drawn_at_most, hover_at_most : float
        Seconds that the cells take in the first frame and in the one that fits them all in, and of
        work to answer a moved pointer: medians.
    bytes_at_most : float
        Bytes of scores that are sent for each cell.
    """

    name: str
    inputs: int
    steps: int
    rounds: int
    drawn_at_most: float
    hover_at_most: float
    bytes_at_most: float


AnyCase = Case | Allowance | Growth | Drawing

NORM, SUM = Numbers("norm"), Numbers("sum")
# A distance near the cut-off at 1e-5 counts on one side and not on the other.
ZEROED = Numbers(largest=0.02)
FLIPS = (
    "1 − cosine has few digits in float32, and the method ignores values below 1e-5, so single "
    "scores near it flip"
)
LAYER, LAYERS = 15, 30
_LENGTHS = tuple(long(inputs, 8) for inputs in (256, 512, 1024, 2048, 4096))

CASES: tuple[AnyCase, ...] = (
    Case(
        "saliency",
        "saliency",
        3.5,
        5,
        numbers=NORM,
        half_at_least=8,
        no_more_memory=True,
        note="the limit in bfloat16 is for processors whose matrix products are faster in it; "
        "the two rates of this one are above",
    ),
    Case("input_x_gradient", "input_x_gradient", 3.5, 5, numbers=SUM),
    Case(
        "integrated_gradients",
        "integrated_gradients",
        2.2,
        2,
        own={"n_steps": 20},
        peer={"n_steps": 20},
        numbers=SUM,
        note="20 points",
    ),
    Case(
        "integrated_gradients_tolerance",
        "integrated_gradients",
        5,
        1,
        own={"tolerance": 0.01},
        peer={"n_steps": 50},
        numbers=Numbers("sum", largest=None),
        note="tolerance=0.01 against 50 points, Inseq's default: the scores differ by what the "
        "tolerance allows, so that difference has no limit here",
    ),
    Case("deeplift", "deeplift", 3, 4, numbers=SUM),
    Case(
        "layer_gradient_x_activation",
        "layer_gradient_x_activation",
        200,
        1,
        own={"target_layer": "all"},
        peer={"target_layer": f"model.layers[{LAYER}]"},
        numbers=Numbers("sum", layer=LAYER),
        peer_counts=LAYERS,
        note=f"all {LAYERS} layers against Inseq's one layer (number {LAYER}, whose scores are "
        f"compared), measured once and multiplied by {LAYERS}",
    ),
    Case("occlusion", "occlusion", 45, 1),
    Case(
        "lime",
        "lime",
        20,
        1,
        own={"n_samples": 20},
        peer={"n_samples": 20},
        numbers=Numbers(same=False),
        note="20 samples for each step on both sides; the samples are random and differ, so "
        "numbers are not compared",
    ),
    Case("attention", "attention", 1, 31, no_more_memory=True),
    Case("attention_2048", "attention", 3, 3, text=long(2048, 34), note="a prompt of 2,048 tokens"),
    Case(
        "value_zeroing",
        "value_zeroing",
        8,
        3,
        peers=("inseq", "inseq_repaired"),
        numbers=ZEROED,
        note="Inseq's method fails on layers that give a tensor; where it does, the one hook that "
        f"minds is replaced (`worker_inseq_repaired.py`). {FLIPS}",
    ),
    Case(
        "value_zeroing_loop",
        "value_zeroing",
        8,
        3,
        peers=("loop",),
        numbers=ZEROED,
        half=False,
        note="a naive loop of one forward pass for each token, without what Inseq does around it "
        "(`worker_loop.py`)",
    ),
    Case("translation_saliency", "saliency", 3, 5, text=TRANSLATED, numbers=NORM),
    Case(
        "translation_occlusion",
        "occlusion",
        40,
        1,
        text=TRANSLATED,
        numbers=Numbers(largest=1e-3),
        note="a random model gives 32,000 words probabilities around 1e-5; float32 knows them to "
        "some 1e-6 of themselves, which is 4e-4 of what a token of the source changes",
    ),
    Case(
        "captum_feature_ablation",
        "feature_ablation",
        CAPTUM,
        3,
        peers=("captum",),
        own={"spans": "prompt"},
        attributed_fn="log_probability",
        numbers=Numbers(inputs=SHORT.inputs),
        half=False,
        note="LLMAttribution with FeatureAblation and forward_in_tokens=False, its fast mode; "
        "both sides ablate the prompt's tokens alone",
    ),
    Case(
        "captum_layer_gradient_x_activation",
        "layer_gradient_x_activation",
        CAPTUM,
        3,
        peers=("captum",),
        attributed_fn="log_probability",
        numbers=Numbers("sum", inputs=SHORT.inputs),
        half=False,
        note="LLMGradientAttribution at the embeddings; it keeps the prompt's scores alone",
    ),
    Case(
        "captum_layer_integrated_gradients",
        "layer_integrated_gradients",
        CAPTUM,
        1,
        peers=("captum",),
        own={"n_steps": 20},
        peer={"n_steps": 20},
        attributed_fn="log_probability",
        numbers=Numbers("sum", inputs=SHORT.inputs, steps=1),
        half=False,
        note="LLMGradientAttribution at the embeddings, 20 points; its path moves the prompt and "
        "leaves the prefix where it is, so the definitions agree, and numbers are compared, at "
        "the first step",
    ),
    Allowance("attention_4096", "attention", long(4096, 64), 2000),
    Allowance("saliency_4096", "saliency", long(4096, 64), 4000),
    Growth("attention_growth", "attention", _LENGTHS, 3),
    Growth("saliency_growth", "saliency", _LENGTHS, 1),
    Drawing("matrix", 2000, 500, 5, drawn_at_most=0.2, hover_at_most=0.016, bytes_at_most=4),
)


def case_named(name: str) -> AnyCase:
    """Return a case.

    Raises
    ------
    ValueError
        If the table has no such case; the message lists those that it has.
    """
    for case in CASES:
        if case.name == name:
            return case
    known = ", ".join(case.name for case in CASES)
    raise ValueError(f"case: there is none called {name!r}; there are {known}")
