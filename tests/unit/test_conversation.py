"""Whatever a page sends, the kernel answers by the protocol, and nothing raises."""

from __future__ import annotations

import json
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inseq_widget.explore.conversation import Conversation
from inseq_widget.explore.protocol import (
    AcceptedMessage,
    AlternativesResult,
    ErrorMessage,
    ResultMessage,
)
from tests.unit.conformity import nonconformity
from tests.unit.explorable import FakeModel, Page
from tests.unit.outputs import batch, causal, evil

GOOD_ARGS = {"sequence": 0, "step": 1, "k": 3}


def request(id: object = "r1", **changes: object) -> dict[str, object]:
    return {
        "v": 1,
        "type": "request",
        "id": id,
        "op": "alternatives",
        "args": GOOD_ARGS,
        **changes,
    }


@pytest.fixture
def conversation(model: FakeModel, page: Page) -> Conversation:
    return Conversation(causal(live_model=model), page)


def test_a_request_is_accepted_and_then_answered(conversation, page, model) -> None:
    conversation.receive(request())
    answer = page.wait_for("r1")
    accepted, last = page.frames
    assert nonconformity(accepted, AcceptedMessage) == []
    assert last == answer
    assert nonconformity(answer, ResultMessage) == []
    assert model.calls == [(1, 3)]
    found: AlternativesResult = answer["result"]
    assert (found["sequence"], found["step"]) == (0, 1)
    assert [entry["rank"] for entry in found["alternatives"]] == [1, 2, 3]
    assert found["target"]["text"] == " word1"


def test_a_handler_returns_while_the_model_is_busy(conversation, page, model) -> None:
    with model.lock:
        conversation.receive(request())
        assert [frame["type"] for frame in page.frames] == ["accepted"]
    assert page.wait_for("r1")["type"] == "result"


@pytest.mark.parametrize(
    ("message", "code", "words"),
    [
        (request(v=2), "version", "v: 2"),
        (request(v=True), "version", "v: True"),
        (request(v=None), "version", "v: None"),
        (request(type="event"), "bad_request", "type: 'event'"),
        (request(type=["request"]), "bad_request", "type"),
        (request(op="explode"), "unknown_operation", "alternatives"),
        (request(op=["alternatives"]), "unknown_operation", "op"),
        (request(args=None), "bad_request", "args: None"),
        (request(args=[0, 1, 3]), "bad_request", "args"),
        (request(args={"sequence": 0, "step": 1}), "bad_request", "k is missing"),
        (request(args={**GOOD_ARGS, "extra": 1}), "bad_request", "'extra' is not known"),
        (request(args={**GOOD_ARGS, "step": 4}), "bad_request", "0 to 3"),
        (request(args={**GOOD_ARGS, "step": -1}), "bad_request", "step: -1"),
        (request(args={**GOOD_ARGS, "step": 1.0}), "bad_request", "step: 1.0"),
        (request(args={**GOOD_ARGS, "step": True}), "bad_request", "step: True"),
        (request(args={**GOOD_ARGS, "step": "1"}), "bad_request", "step: '1'"),
        (request(args={**GOOD_ARGS, "sequence": 1}), "bad_request", "0 to 0"),
        (request(args={**GOOD_ARGS, "k": 0}), "bad_request", "1 to 100"),
        (request(args={**GOOD_ARGS, "k": 10**6}), "bad_request", "1 to 100"),
        (request(args={**GOOD_ARGS, "k": 10**6000}), "bad_request", "a huge int"),
        (request(args={"x" * 10**6: "y" * 10**6}), "bad_request", "is not known"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 30 else "",
)
def test_a_message_that_makes_no_sense_is_answered_with_why(
    conversation, page, model, message, code, words
) -> None:
    conversation.receive(message)
    (answer,) = page.frames
    assert nonconformity(answer, ErrorMessage) == []
    assert answer["code"] == code
    assert words in answer["message"]
    assert len(answer["message"]) < 1000
    assert model.calls == []


@pytest.mark.parametrize(
    "message",
    [
        None,
        "request",
        [request()],
        {},
        request(id=None),
        request(id=7),
        request(id=""),
        request(id="x" * 201),
        request(id="half \ud83d"),
    ],
    ids=str,
)
def test_a_message_without_an_id_to_answer_is_ignored(conversation, page, message) -> None:
    conversation.receive(message)
    assert page.frames == []


def test_an_id_is_taken_while_its_request_is_open_and_free_afterwards(
    conversation, page, model
) -> None:
    with model.lock:
        conversation.receive(request())
        conversation.receive(request(args={**GOOD_ARGS, "step": 2}))
        (refused,) = page.of("r1", "error")
        assert refused["code"] == "bad_request"
        assert "open request" in refused["message"]
    page.wait_for("r1", "result")
    conversation.receive(request())
    page.wait_for("r1", "result")
    assert len(page.of("r1", "accepted")) == 2


def test_without_a_model_the_answer_says_what_to_do(page) -> None:
    Conversation(causal(), page).receive(request())
    (answer,) = page.frames
    assert (answer["code"], bool(answer["hint"])) == ("no_model", True)


def test_a_cancelled_request_is_answered_so(conversation, page, model) -> None:
    with model.lock:
        conversation.receive(request())
        conversation.receive({"v": 1, "type": "cancel", "id": "r1"})
        assert page.wait_for("r1")["code"] == "cancelled"
    assert model.calls == []


def test_cancelling_what_is_answered_already_is_no_error(conversation, page) -> None:
    conversation.receive(request())
    page.wait_for("r1")
    before = len(page.frames)
    conversation.receive({"v": 1, "type": "cancel", "id": "r1"})
    conversation.receive({"v": 1, "type": "cancel", "id": "never asked"})
    assert len(page.frames) == before


def test_a_newer_question_takes_the_place_of_an_older_one(conversation, page, model) -> None:
    with model.lock:
        conversation.receive(request("blocking"))
        for number in range(5):
            conversation.receive(request(f"r{number}"))
        for number in range(4):
            assert page.wait_for(f"r{number}")["code"] == "superseded"
    assert page.wait_for("r4")["type"] == "result"


def test_two_widgets_of_one_model_do_not_take_each_others_place(model) -> None:
    pages = Page(), Page()
    talks = [Conversation(causal(live_model=model), page) for page in pages]
    with model.lock:
        for talk in talks:
            talk.receive(request())
    for page in pages:
        assert page.wait_for("r1")["type"] == "result"


def test_closing_gives_open_requests_up(conversation, page, model) -> None:
    with model.lock:
        conversation.receive(request("r1"))
        conversation.close()
        assert page.wait_for("r1")["code"] == "cancelled"


def test_a_model_that_fails_is_an_error_with_advice(page) -> None:
    def fail() -> None:
        raise RuntimeError("out of cheese")

    Conversation(causal(live_model=FakeModel(fail)), page).receive(request())
    answer = page.wait_for("r1")
    assert (answer["code"], bool(answer["hint"])) == ("failed", True)
    assert "out of cheese" in answer["message"]


def test_a_page_that_is_gone_does_not_raise(model) -> None:
    def gone(frame: object) -> None:
        raise OSError("socket closed")

    talk = Conversation(causal(live_model=model), gone)
    talk.receive(request())
    talk.receive(request(v=9))


def test_alternatives_can_be_sent_whatever_their_text_is(page) -> None:
    model = FakeModel()
    output = evil()
    output.live_model = model
    Conversation(output, page).receive(request())
    answer = page.wait_for("r1")
    json.dumps(answer, ensure_ascii=False, allow_nan=False).encode("utf-8")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
ids = st.text(min_size=1, max_size=12)


def mostly(value: object) -> st.SearchStrategy[object]:
    """Give the right value more often than not, so that later checks are reached."""
    return st.one_of(st.just(value), st.just(value), st.just(value), json_values)


messages = st.fixed_dictionaries(
    {},
    optional={
        "v": mostly(1),
        "type": st.sampled_from(["request", "cancel"]) | mostly("request"),
        "id": ids | json_values,
        "op": mostly("alternatives"),
        "args": st.fixed_dictionaries(
            {},
            optional={
                "sequence": st.integers(-1, 2) | mostly(0),
                "step": st.integers(-2, 6) | mostly(1),
                "k": st.integers(-1, 120) | mostly(3),
            },
        )
        | json_values,
    },
)
FUZZED_MODEL = FakeModel()


@settings(max_examples=300, deadline=None)
@given(messages | json_values)
def test_no_message_raises_and_every_usable_request_is_answered_once(message: object) -> None:
    page = Page()
    output = batch(causal(live_model=FUZZED_MODEL), causal(seed=1, live_model=FUZZED_MODEL))
    Conversation(output, page).receive(message)
    if not isinstance(message, dict) or not isinstance(message.get("id"), str):
        assert page.frames == []
        return
    id = message["id"]
    silent = message.get("type") == "cancel" and message.get("v") == 1
    if silent or not id or any(0xD800 <= ord(character) < 0xE000 for character in id):
        return
    page.wait_for(id)
    frames = page.of(id)
    for frame in frames:
        json.dumps(frame, allow_nan=False)
    assert [frame["type"] for frame in frames] in (["error"], ["accepted", "result"])
    if frames[-1]["type"] == "result":
        args = message["args"]
        assert args["sequence"] in (0, 1)
        assert 0 <= args["step"] < 4
        assert 1 <= args["k"] <= 100


def test_requests_from_many_threads_are_each_answered_once(model) -> None:
    pages = [Page() for _ in range(8)]
    talks = [Conversation(causal(live_model=model), page) for page in pages]

    def ask(talk: Conversation) -> None:
        for number in range(20):
            talk.receive(request(f"r{number}"))

    threads = [threading.Thread(target=ask, args=(talk,)) for talk in talks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for page in pages:
        for number in range(20):
            page.wait_for(f"r{number}")
            assert len(page.of(f"r{number}", "result", "error")) == 1


def test_a_real_model_answers_what_it_answers_in_python(tiny, page) -> None:
    output = tiny.attribute("The nurse", "The nurse said that", show_progress=False)
    Conversation(output, page).receive(request(args={"sequence": 0, "step": 1, "k": 4}))
    answer = page.wait_for("r1")
    assert nonconformity(answer, ResultMessage) == []
    expected = tiny.alternatives(output[0], 1, 4)
    found = answer["result"]["alternatives"]
    assert [entry["id"] for entry in found] == [e.token.id for e in expected.alternatives]
    assert answer["result"]["target"]["probability"] == expected.target.probability
