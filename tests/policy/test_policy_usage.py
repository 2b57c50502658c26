"""The usage objects of the providers, as JSON and as the SDKs' own objects."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import (
    ChatCompletionOutputUsage,
    TextGenerationOutputDetails,
    TextGenerationOutputPrefillToken,
    TextGenerationStreamOutputStreamDetails,
)
from hypothesis import given
from hypothesis import strategies as st
from openai.types import CompletionUsage, CreateEmbeddingResponse
from openai.types.chat import ChatCompletion
from openai.types.completion_usage import CompletionTokensDetails, PromptTokensDetails
from openai.types.create_embedding_response import Usage as EmbeddingUsage
from openai.types.responses import ResponseUsage

from agentauth_cli.errors import UsageError
from agentauth_cli.policy.usage import Tokens, Used, read
from support.policy_worlds import property_of

CHAT = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
RESPONSES = {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120}
CACHED = {"cache_read_input_tokens": 40, "cache_creation_input_tokens": 7}
MOST = 10**15
BAD = (" ", '"', "'", "\\", "\n", "\x1b", "\u2028", "\udcff", "\u200b")


def test_openai_chat_completions() -> None:
    """Cached and audio tokens are within prompt_tokens, reasoning within completion_tokens."""
    usage = CompletionUsage(
        prompt_tokens=100,
        completion_tokens=20,
        total_tokens=120,
        prompt_tokens_details=PromptTokensDetails(cached_tokens=30, audio_tokens=10),
        completion_tokens_details=CompletionTokensDetails(reasoning_tokens=15, audio_tokens=5),
    )
    tokens = Tokens(input=60, cached_input=30, audio_input=10, output=15, audio_output=5)
    assert read(usage) == Used(tokens, "openai")
    assert read(usage.model_dump()) == Used(tokens, "openai")
    assert (tokens.total_input, tokens.total) == (100, 120)
    unknown: dict[str, Any] = {
        "prompt_tokens": 9,
        "completion_tokens": 1,
        "cache_read_input_tokens": 1,
    }
    later = CompletionUsage.model_construct(**unknown)
    assert later.model_extra == {"cache_read_input_tokens": 1}
    assert read(later) == Used(Tokens(input=9, output=1), "openai")
    plain = CompletionUsage(prompt_tokens=100, completion_tokens=20, total_tokens=120)
    assert read(plain) == Used(Tokens(input=100, output=20), "openai")


def test_openai_responses() -> None:
    """input_tokens with its cached tokens within."""
    usage = ResponseUsage.model_validate(
        {
            **RESPONSES,
            "input_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 10},
            "output_tokens_details": {"reasoning_tokens": 20},
        }
    )
    tokens = Tokens(input=60, cached_input=30, cache_write=10, output=20)
    assert read(usage) == Used(tokens, "openai")
    assert read(RESPONSES) == Used(Tokens(input=100, output=20), "openai")


def test_what_an_sdk_does_not_know_is_read_too() -> None:
    """A gateway's own fields of a usage object count as they would in JSON."""
    usage: dict[str, Any] = {
        "prompt_tokens": 8,
        "total_tokens": 9,
        "completion_tokens_details": {"audio_tokens": 1},
    }
    tokens = Tokens(input=8, audio_output=1)
    assert read(EmbeddingUsage.model_construct(**usage)) == Used(tokens, "openai")
    assert read(usage) == Used(tokens, "openai")


def test_openai_embeddings() -> None:
    """A total instead of what came out."""
    usage = EmbeddingUsage(prompt_tokens=8, total_tokens=8)
    assert read(usage) == Used(Tokens(input=8), "openai")
    response = CreateEmbeddingResponse(
        data=[], model="text-embedding-3-small", object="list", usage=usage
    )
    assert read(response) == Used(Tokens(input=8), "openai", "text-embedding-3-small")


def test_a_whole_response_names_its_model() -> None:
    """A whole response (with `usage` and `model`) is taken too."""
    response = ChatCompletion.model_validate(
        {
            "id": "x",
            "choices": [],
            "created": 1,
            "model": "gpt-4o-mini-2024-07-18",
            "object": "chat.completion",
            "usage": CHAT,
        }
    )
    tokens = Tokens(input=100, output=20)
    assert read(response) == Used(tokens, "openai", "gpt-4o-mini-2024-07-18")
    assert read({"usage": CHAT}) == Used(tokens, "openai")
    inner = ChatCompletionOutputUsage(completion_tokens=20, prompt_tokens=100, total_tokens=120)
    assert read(SimpleNamespace(model="m", usage=inner)) == Used(tokens, "huggingface", "m")


def test_anthropic() -> None:
    """input_tokens excludes cache_read_input_tokens and cache_creation_input_tokens."""
    tokens = Tokens(input=100, cached_input=40, cache_write=7, output=20)
    usage = {"input_tokens": 100, "output_tokens": 20, **CACHED}
    assert read(usage) == Used(tokens, "anthropic")
    assert read({"model": "claude", "usage": usage}) == Used(tokens, "anthropic", "claude")
    own = type("Usage", (SimpleNamespace,), {"__module__": "anthropic.types.usage"})
    assert read(own(**usage)) == Used(tokens, "anthropic")
    bare = own(input_tokens=1, output_tokens=2)
    assert read(bare) == Used(Tokens(input=1, output=2), "anthropic")
    with pytest.raises(UsageError, match=r"^input_tokens_details: does not go with cache_"):
        read(own(input_tokens=5, output_tokens=2, input_tokens_details={"cached_tokens": 1}))


def test_hugging_face() -> None:
    """Chat completions as OpenAI's, text generation by its details."""
    chat = ChatCompletionOutputUsage(completion_tokens=20, prompt_tokens=100, total_tokens=120)
    assert read(chat) == Used(Tokens(input=100, output=20), "huggingface")
    token = TextGenerationOutputPrefillToken(id=1, logprob=0.0, text="x")
    details = TextGenerationOutputDetails(
        finish_reason="length", generated_tokens=20, prefill=[token] * 3, tokens=[]
    )
    assert read(details) == Used(Tokens(input=3, output=20), "huggingface")
    whole = {"generated_text": "x", "details": details}
    assert read(whole) == Used(Tokens(input=3, output=20), "huggingface")
    streamed = TextGenerationStreamOutputStreamDetails(
        finish_reason="length", generated_tokens=20, input_length=3, seed=1
    )
    assert read({"details": streamed}) == Used(Tokens(input=3, output=20), "huggingface")
    plain = {"generated_tokens": 20, "input_length": 3}
    assert read(plain) == Used(Tokens(input=3, output=20), "huggingface")


def test_plain_objects_and_dataclasses_are_read_by_their_fields() -> None:
    """The SDKs' own objects: attributes, pydantic's model_dump, or a dataclass."""

    @dataclass
    class Slim:
        __slots__ = ("completion_tokens", "prompt_tokens")
        prompt_tokens: int
        completion_tokens: int

    assert read(Slim(3, 4)) == Used(Tokens(input=3, output=4), "openai")
    plain = SimpleNamespace(prompt_tokens=3, completion_tokens=4)
    assert read(plain) == Used(Tokens(input=3, output=4), "openai")


def test_what_a_total_has_more_than_its_parts_came_out() -> None:
    """Some gateways count reasoning in the total alone: nothing is charged less than it costs."""
    assert read({**CHAT, "total_tokens": 150}).tokens == Tokens(input=100, output=50)
    assert read({"prompt_tokens": 0, "total_tokens": 0}).tokens == Tokens()


def test_the_most_that_can_be_said() -> None:
    """Tokens up to the most that one report may say; a model's name of up to 256 characters."""
    whole = {"usage": {"prompt_tokens": MOST, "completion_tokens": 0}, "model": "x" * 256}
    assert read(whole) == Used(Tokens(input=MOST), "openai", "x" * 256)


@pytest.mark.parametrize(
    ("cached", "written", "audio", "tokens"),
    [
        (60, 0, 50, Tokens(cached_input=60, audio_input=40, output=20)),
        (60, 50, 0, Tokens(cached_input=50, cache_write=50, output=20)),
        (0, 100, 100, Tokens(audio_input=100, output=20)),
        (20, 30, 60, Tokens(cached_input=20, cache_write=20, audio_input=60, output=20)),
    ],
)
def test_of_what_overlaps_the_dearer_is_counted(
    cached: int, written: int, audio: int, tokens: Tokens
) -> None:
    """Which of the audio was cached is not said: nothing is charged less than it costs."""
    details = {"cached_tokens": cached, "cache_write_tokens": written, "audio_tokens": audio}
    assert read({**CHAT, "prompt_tokens_details": details}).tokens == tokens


@pytest.mark.parametrize(
    ("usage", "message"),
    [
        ({**CHAT, "prompt_tokens": -1}, "prompt_tokens: is not from 0 to"),
        ({**CHAT, "completion_tokens": 2**63}, "completion_tokens: is not from 0 to"),
        ({**CHAT, "prompt_tokens": 1.0}, "prompt_tokens: is no integer"),
        ({**CHAT, "prompt_tokens": float("nan")}, "prompt_tokens: is no integer"),
        ({**CHAT, "prompt_tokens": True}, "prompt_tokens: is no integer"),
        ({**CHAT, "prompt_tokens": "1"}, "prompt_tokens: is no integer"),
        ({**CHAT, "prompt_tokens": None}, "prompt_tokens: is missing"),
        ({**CHAT, "total_tokens": 119}, "total_tokens: 119 is less than"),
        ({**CHAT, "total_tokens": 0}, "total_tokens: 0 is less than"),
        ({**CHAT, "total_tokens": False}, "total_tokens: is no integer"),
        ({"prompt_tokens": 1}, "completion_tokens: is missing"),
        ({"input_tokens": 1}, "output_tokens: is missing"),
        ({"input_tokens": 1, **CACHED}, "output_tokens: is missing"),
        (
            {"input_tokens": 1, "output_tokens": 1, "cache_read_input_tokens": -1},
            "cache_read_input_tokens: is not from 0",
        ),
        ({**RESPONSES, **CACHED, "input_tokens_details": {}}, "input_tokens_details: does not go"),
        (
            {**CHAT, "prompt_tokens_details": {"cached_tokens": 101}},
            "prompt_tokens_details.cached_tokens: 101 of 100 tokens",
        ),
        (
            {**CHAT, "prompt_tokens_details": {"audio_tokens": 101}},
            "prompt_tokens_details.audio_tokens: 101 of 100 tokens",
        ),
        (
            {**RESPONSES, "output_tokens_details": {"reasoning_tokens": 21}},
            "output_tokens_details.reasoning_tokens: 21 of 20 tokens",
        ),
        (
            {**CHAT, "completion_tokens_details": {"audio_tokens": 21}},
            "completion_tokens_details.audio_tokens: 21 of 20 tokens",
        ),
        ({**CHAT, "prompt_tokens_details": 5}, "prompt_tokens_details: is no usage object"),
        (
            {"prompt_tokens": MOST, "completion_tokens": 1},
            "usage: more than 1000000000000000 tokens in all",
        ),
        ({"details": {"prefill": [1]}}, "generated_tokens: is missing"),
        ({"details": {"generated_tokens": 1, "prefill": []}}, "details.prefill: is empty"),
        ({"generated_tokens": 1}, "details.prefill: is empty"),
        ({"model": 5, "usage": CHAT}, "model: is no name"),
        ({"model": "", "usage": CHAT}, "model: is no name"),
        ({"model": "x" * 257, "usage": CHAT}, "model: is no name"),
        *(({"model": f"gpt{one}4o", "usage": CHAT}, "model: is no name") for one in BAD),
        ({"usage": "x"}, "usage: is no usage object"),
        ({"usage": None}, "usage: has none of"),
        ({}, "usage: has none of"),
        ([], "usage: is no usage object"),
        (object(), "usage: is no usage object"),
    ],
)
def test_what_cannot_be_counted_is_refused(usage: object, message: str) -> None:
    """Negative, no integer, NaN, too large, missing, contradictory: an error naming the field."""
    with pytest.raises(UsageError) as raised:
        read(usage)
    assert raised.value.message.startswith(message), raised.value.message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)
NAMES = st.sampled_from(
    [
        *CHAT,
        *RESPONSES,
        *CACHED,
        "usage",
        "model",
        "details",
        "generated_tokens",
        "prefill",
        "input_length",
        "prompt_tokens_details",
        "cached_tokens",
    ]
)


@property_of(300)
@given(st.dictionaries(NAMES, JSON | st.dictionaries(NAMES, JSON, max_size=4), max_size=5))
def test_nothing_but_a_usage_error_comes_of_anything(usage: dict[str, Any]) -> None:
    """Bad input gives a clear error."""
    try:
        tokens = read(usage).tokens
    except UsageError:
        return
    assert tokens.total <= MOST
    assert min(astuple(tokens)) >= 0


@property_of(200)
@given(st.integers(0, 10**6), st.integers(0, 10**6), st.data())
def test_no_token_is_counted_twice_or_lost(taken: int, given_: int, data: st.DataObject) -> None:
    """All kinds together are what was put in and what came out."""
    inside = {
        name: data.draw(st.integers(0, taken))
        for name in ("cached_tokens", "cache_write_tokens", "audio_tokens")
    }
    outside = {
        name: data.draw(st.integers(0, given_)) for name in ("reasoning_tokens", "audio_tokens")
    }
    tokens = read(
        {
            "prompt_tokens": taken,
            "completion_tokens": given_,
            "prompt_tokens_details": inside,
            "completion_tokens_details": outside,
        }
    ).tokens
    assert (tokens.total_input, tokens.total) == (taken, taken + given_)
    assert tokens.cached_input <= inside["cached_tokens"]
    assert tokens.cache_write <= inside["cache_write_tokens"]
    assert min(astuple(tokens)) >= 0
