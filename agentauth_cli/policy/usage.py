"""What a call really used: the usage objects of the providers → tokens by kind.

Taken as JSON has them or as the SDKs give them, alone or in a whole response:

- OpenAI, chat completions, and Hugging Face's: ``prompt_tokens``, ``completion_tokens``; cached and
  audio tokens are within these. Embeddings have ``total_tokens`` instead of the second.
- OpenAI, responses: ``input_tokens``, ``output_tokens``; cached tokens are within the first.
- Anthropic: ``input_tokens`` is without ``cache_read_input_tokens`` and
  ``cache_creation_input_tokens``.
- Hugging Face, text generation: ``details`` with ``generated_tokens`` and ``prefill``, or
  ``input_length`` at the end of a stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from agentauth_cli.errors import UsageError
from agentauth_cli.tables.values import MOST

LONGEST_MODEL = 256
_NEVER = frozenset(" \"'\\")

_SDKS = {"openai": "openai", "anthropic": "anthropic", "huggingface_hub": "huggingface"}
_CACHE_READ, _CACHE_WRITE = "cache_read_input_tokens", "cache_creation_input_tokens"
_KNOWN = "prompt_tokens, input_tokens or details.generated_tokens"


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens by kind; none is counted twice. `output` has the tokens of reasoning in it."""

    input: int = 0
    cached_input: int = 0
    cache_write: int = 0
    audio_input: int = 0
    output: int = 0
    audio_output: int = 0

    @property
    def total_input(self) -> int:
        """All that was put in: what the tiers of a price go by."""
        return self.input + self.cached_input + self.cache_write + self.audio_input

    @property
    def total(self) -> int:
        """All of them."""
        return self.total_input + self.output + self.audio_output


@dataclass(frozen=True, slots=True)
class Used:
    """A usage object as read: `model` where a whole response named it.

    `provider` is whose SDK or whose manner of counting it is, which need not be who is paid.
    """

    tokens: Tokens
    provider: str
    model: str | None = None


def read(usage: object) -> Used:
    """Read a usage object. Raises UsageError naming the field that is missing or cannot be."""
    made_by = _SDKS.get(type(usage).__module__.partition(".")[0])
    whole = _table(usage, "usage")
    model = None
    if whole.get("usage") is not None:
        named = whole.get("model")
        model = None if named is None else model_name(named)
        made_by = made_by or _SDKS.get(type(whole["usage"]).__module__.partition(".")[0])
        whole = _table(whole["usage"], "usage")
    tokens, manner = _counted(whole, made_by)
    if tokens.total > MOST:
        raise UsageError(f"usage: more than {MOST} tokens in all")
    return Used(tokens, made_by or manner, model)


def _counted(usage: Mapping[str, Any], made_by: str | None) -> tuple[Tokens, str]:
    """Return the tokens, and whose manner of counting this is."""
    if "prompt_tokens" in usage:
        return _within(usage, "prompt_tokens", "completion_tokens"), "openai"
    if "input_tokens" in usage:
        if made_by == "anthropic" or usage.keys() & {_CACHE_READ, _CACHE_WRITE}:
            return _beside(usage), "anthropic"
        return _within(usage, "input_tokens", "output_tokens"), "openai"
    if usage.get("details") is not None:
        return _generated(_table(usage["details"], "details")), "huggingface"
    if "generated_tokens" in usage:
        return _generated(usage), "huggingface"
    raise UsageError(f"usage: has none of {_KNOWN}")


def _within(usage: Mapping[str, Any], put_in: str, came_out: str) -> Tokens:
    """Read a usage whose cached and audio tokens are within its sums (OpenAI's manner).

    Which of the tokens were both is not said: as few as can be were cached, as many as can be were
    of the dearer kind.
    """
    taken = _count(usage, put_in)
    given = _given(usage, taken, put_in, came_out)
    inside = _details(usage, put_in, taken, "cached_tokens", "cache_write_tokens", "audio_tokens")
    outside = _details(usage, came_out, given, "audio_tokens", "reasoning_tokens")
    cached = min(inside["cached_tokens"], taken - inside["cache_write_tokens"])
    heard = min(inside["audio_tokens"], taken - cached)
    written = min(inside["cache_write_tokens"], taken - cached - heard)
    return Tokens(
        input=taken - cached - heard - written,
        cached_input=cached,
        cache_write=written,
        audio_input=heard,
        output=given - outside["audio_tokens"],
        audio_output=outside["audio_tokens"],
    )


def _given(usage: Mapping[str, Any], taken: int, put_in: str, came_out: str) -> int:
    """Return what came out. What a total has more than its parts is counted with it."""
    total = _count(usage, "total_tokens", -1)
    given = _count(usage, came_out, None if total < 0 else 0)
    if 0 <= total < taken + given:
        raise UsageError(f"total_tokens: {total} is less than {put_in} and {came_out} together")
    return max(given, total - taken)


def _details(usage: Mapping[str, Any], of: str, whole: int, *names: str) -> dict[str, int]:
    """Return parts of a sum. Raises UsageError for one that is more than the whole."""
    field = f"{of}_details"
    found = {} if usage.get(field) is None else _table(usage[field], field)
    parts = {name: _count(found, name, 0) for name in names}
    for name, part in parts.items():
        if part > whole:
            raise UsageError(f"{field}.{name}: {part} of {whole} tokens")
    return parts


def _beside(usage: Mapping[str, Any]) -> Tokens:
    """Read a usage whose cached tokens stand beside its sum (Anthropic's manner)."""
    if "input_tokens_details" in usage:
        raise UsageError("input_tokens_details: does not go with cache_…_input_tokens")
    return Tokens(
        input=_count(usage, "input_tokens"),
        cached_input=_count(usage, _CACHE_READ, 0),
        cache_write=_count(usage, _CACHE_WRITE, 0),
        output=_count(usage, "output_tokens"),
    )


def _generated(details: Mapping[str, Any]) -> Tokens:
    """Read the details of Hugging Face's text generation."""
    given = _count(details, "generated_tokens")
    if details.get("input_length") is not None:
        return Tokens(input=_count(details, "input_length"), output=given)
    prefill = details.get("prefill")
    if not isinstance(prefill, list) or not prefill:
        raise UsageError(
            "details.prefill: is empty, so what was put in is not known",
            hint="Ask for it: decoder_input_details=True",
        )
    return Tokens(input=len(prefill), output=given)


def _count(usage: Mapping[str, Any], name: str, absent: int | None = None) -> int:
    value = usage.get(name)
    if value is None:
        if absent is None:
            raise UsageError(f"{name}: is missing")
        return absent
    if type(value) is not int:
        raise UsageError(f"{name}: is no integer")
    if not 0 <= value <= MOST:
        raise UsageError(f"{name}: is not from 0 to {MOST}")
    return value


def model_name(value: object) -> str:
    """Return the name of a model. Raises UsageError: a hint may show it as a line of TOML."""
    whole = isinstance(value, str) and 0 < len(value) <= LONGEST_MODEL
    if not isinstance(value, str) or not whole or not value.isprintable() or _NEVER & {*value}:
        raise UsageError(
            f"model: is no name of 1 to {LONGEST_MODEL} printable characters, "
            "without spaces, quotes and backslashes",
            hint="",
        )
    return value


def _table(value: object, name: str) -> Mapping[str, Any]:
    """Return the fields of a mapping, a dataclass, a pydantic model or a plain object."""
    if isinstance(value, Mapping):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: getattr(value, one.name) for one in fields(value)}
    if not isinstance(found := getattr(value, "__dict__", None), dict):
        raise UsageError(f"{name}: is no usage object")
    more = getattr(value, "model_extra", None)  # what pydantic was given and the SDK does not know
    return {**found, **more} if isinstance(more, dict) else found
