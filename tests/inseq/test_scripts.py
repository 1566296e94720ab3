"""Scripts written for Inseq run here with their import line changed, and find the same numbers."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from inseq_widget.scores.registering import STEP_FUNCTIONS
from tests.inseq.comparing import assert_same
from tests.inseq.models import save_for_scripts
from tests.peer.environment import peer_python
from tests.peer.job import Scores
from tests.peer.process import Peer
from tests.peer.script import Ran, Script, ran

RunBoth = Callable[[str, tuple[str, ...]], tuple[Ran, Ran]]
SCRIPTS = Path(__file__).parent / "scripts"
IMPORT, OWN_IMPORT = "import inseq\n", "import inseq_widget as inseq\n"
# What the two sides may differ by: models in float32, and sums over small numbers.
LIMIT = 3e-4

RESULTS = {
    "attention": ("shape", "mean", "strongest", "last_layer", "words", "part"),
    "custom_function": ("known", "joined", "summed", "weighted"),
    "gender": ("differences", "scores"),
    "knowledge": ("by_layer",),
    "merging": ("merged", "added", "sizes", "prompts", "loaded", "html"),
    "models": (
        *("ids", "mask", "decoded", "tokens", "back", "string", "split", "embedded"),
        *("continued", "device", "aggregators", "functions", "methods"),
    ),
    "pair": ("masculine", "feminine", "difference"),
    "step_scores": ("probabilities", "word", "scores", "n_dimensions"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder in which the names of the examples' models are tiny models."""
    root = tmp_path_factory.mktemp("scripts")
    save_for_scripts(root)
    return root


@pytest.fixture
def own_register(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget after the test what its script registered."""
    monkeypatch.setattr(STEP_FUNCTIONS, "_entries", dict(STEP_FUNCTIONS._entries))


@pytest.fixture
def run_both(inseq: Peer, folder: Path, one_thread: None, own_register: None) -> RunBoth:
    """Run a script as it stands with Inseq, and with its import line changed here."""

    def run(source: str, results: tuple[str, ...]) -> tuple[Ran, Ran]:
        assert source.count(IMPORT) == 1
        changed = source.replace(IMPORT, OWN_IMPORT)
        own = ran(Script(changed, "inseq_widget", folder, results))
        return own, inseq.ask(Script(source, "inseq", folder, results))

    return run


def readme_examples() -> list[str]:
    """Read the Python examples of Inseq's own README, which its package carries."""
    ask = "from importlib.metadata import metadata; print(metadata('inseq').get_payload())"
    asked = [peer_python(), "-c", ask]
    readme = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    return [match + "\n" for match in re.findall(r"```python\n(.*?)\n```", readme, re.DOTALL)]


def as_shown_here(peer: Scores, own: Scores) -> Scores:
    """Give tokens that Inseq shows with their contrast as they are: "contrast → token"."""
    target = [
        ours if theirs[0].endswith(f" → {ours[0]}") else theirs
        for ours, theirs in zip(own.target, peer.target, strict=True)
    ]
    return replace(peer, target=target)


def assert_equal(own: Ran, peer: Ran) -> None:
    """Compare everything that a script attributed, and its variables."""
    for side, each in (("here", own), ("Inseq", peer)):
        assert each.failed is None, f"{side}: {each.failed}"
    assert len(own.attributed) == len(peer.attributed)
    for ours, theirs in zip(own.attributed, peer.attributed, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert_same([one], [as_shown_here(other, one)], LIMIT)
    for name in peer.results:
        assert_same(own.results[name], peer.results[name], LIMIT)


@pytest.mark.parametrize("number", range(3))
def test_the_readme_of_inseq(number: int, run_both: RunBoth) -> None:
    examples = readme_examples()
    assert len(examples) == 3
    own, peer = run_both(examples[number], ())
    assert len(peer.attributed) == 1
    assert_equal(own, peer)


@pytest.mark.parametrize("name", RESULTS)
def test_a_script(name: str, run_both: RunBoth) -> None:
    own, peer = run_both((SCRIPTS / f"{name}.py").read_text(), RESULTS[name])
    assert_equal(own, peer)


def test_every_script_is_run() -> None:
    assert sorted(RESULTS) == sorted(path.stem for path in SCRIPTS.glob("*.py"))
