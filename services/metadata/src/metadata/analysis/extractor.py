"""Analysis of a transcript with the openai client, which no other module uses."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import structlog
from pydantic import ValidationError

from metadata.errors import AnalysisFailed
from metadata.metrics import ANALYSIS_TOKENS
from metadata.schemas import Insight
from metadata.settings import Settings
from metadata.text.transcripts import Transcript

from . import parts, prompts

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam

log = structlog.get_logger(__name__)

_OBJECT = re.compile(r"\{.*\}", re.DOTALL)  # models may wrap it in ``` or in a sentence
_ANSWER_KEPT = 4000  # characters of a malformed response that are sent back


@dataclass(frozen=True, slots=True)
class Extracted:
    """An insight, the model that its server reports, and the number of parts of the transcript."""

    insight: Insight
    model: str
    parts: int


class ModelUnavailable(Exception):
    """The language model did not respond; a retry may help."""


class Extractor:
    """Client of a server with OpenAI's API of chat completions."""

    def __init__(self, settings: Settings) -> None:
        """The settings must have an API key."""
        # The import takes a second and much memory, which an installation without a key does not need.
        import openai  # noqa: PLC0415 - see above

        assert settings.openai_api_key is not None
        self._openai = openai
        self._settings = settings
        # The only client that uses HTTP_PROXY and similar variables: a language model may be on the internet.
        self._client = openai.AsyncOpenAI(
            api_key=settings.openai_api_key.get_secret_value(),
            base_url=settings.openai_base_url,
            timeout=settings.openai_timeout_seconds,
            max_retries=settings.openai_retries,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def extract(self, transcript: Transcript) -> Extracted:
        """Describe a transcript; a long one in parts, whose descriptions are merged.

        Raises AnalysisFailed for a permanent failure, ModelUnavailable for one that may be retried.
        """
        budget, language = self._settings.openai_input_tokens, transcript.text_language
        texts = parts.cut(transcript, budget, self._settings.openai_max_parts)
        insights: list[Insight] = []
        for number, text in enumerate(texts, 1):
            messages = prompts.describe(text, language, number=number, count=len(texts))
            insight, model = await self._ask(messages)
            insights.append(insight)
            log.info("transcript part analysed", part=number, parts=len(texts))
        while len(insights) > 1:
            sizes = [parts.tokens(insight.model_dump_json()) for insight in insights]
            runs = [insights[run.start : run.stop] for run in parts.groups(sizes, budget)]
            insights = [await self._merged(run, language) for run in runs]
        return Extracted(insights[0], model, len(texts))

    async def _merged(self, run: Sequence[Insight], language: str | None) -> Insight:
        if len(run) == 1:
            return run[0]
        insight, _ = await self._ask(prompts.merge(run, language))
        return insight

    async def _ask(self, messages: prompts.Messages) -> tuple[Insight, str]:
        """One request; a malformed response may be corrected once."""
        answer, model = await self._complete(messages)
        try:
            return _insight(answer), model
        except ValidationError as error:
            problem = _problem(error)
            log.warning("response of the language model malformed", problem=problem)
        answer, model = await self._complete(prompts.repair(messages, answer[:_ANSWER_KEPT], problem))
        try:
            return _insight(answer), model
        except ValidationError as error:
            raise AnalysisFailed(
                "answer_not_usable", f"The language model sent two malformed responses ({_problem(error)})."
            ) from None

    async def _complete(self, messages: prompts.Messages) -> tuple[str, str]:
        openai = self._openai
        try:
            completion = await self._client.chat.completions.create(
                model=self._settings.openai_model,
                messages=cast("list[ChatCompletionMessageParam]", messages),
                response_format={"type": "json_object"},
                max_completion_tokens=self._settings.openai_output_tokens,
            )
        except (openai.APIConnectionError, openai.RateLimitError, openai.InternalServerError) as error:
            raise ModelUnavailable(_described(error)) from error
        except openai.APIStatusError as error:
            raise AnalysisFailed(
                "request_not_accepted",
                f"The server of the language model refused the request (status {error.status_code}).",
            ) from error
        except (openai.OpenAIError, ValueError) as error:  # the response is no chat completion or no JSON
            raise ModelUnavailable(_described(error)) from error
        # The client checks nothing: other servers may respond with pages or error documents.
        if not isinstance(completion, openai.types.chat.ChatCompletion) or not completion.choices:
            raise ModelUnavailable("the response is no chat completion")
        if completion.usage is not None:
            ANALYSIS_TOKENS.labels("input").inc(completion.usage.prompt_tokens or 0)
            ANALYSIS_TOKENS.labels("output").inc(completion.usage.completion_tokens or 0)
        choice = completion.choices[0]
        if choice.message.refusal or choice.finish_reason == "content_filter":
            raise AnalysisFailed("analysis_refused", "The language model refused to describe this transcript.")
        return choice.message.content or "", completion.model or self._settings.openai_model


def _insight(answer: str) -> Insight:
    answer = answer.replace("\\u0000", "")  # a character that PostgreSQL does not store
    found = _OBJECT.search(answer)
    return Insight.model_validate_json(found.group() if found else answer)


def _problem(error: ValidationError) -> str:
    """Where a response is malformed, without its content, which may quote the transcript."""
    places = {".".join(map(str, issue["loc"])) or "the whole": issue["type"] for issue in error.errors()}
    return ", ".join(f"{place}: {kind}" for place, kind in sorted(places.items())[:5])


def _described(error: Exception) -> str:
    """An error without the response body, which may quote the transcript."""
    status = getattr(error, "status_code", None)
    return f"{type(error).__name__}, status {status}" if status else type(error).__name__
