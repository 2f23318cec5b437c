"""The only place that knows the openai client: a transcript in, a checked insight out."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import structlog
from pydantic import ValidationError

from . import parts, prompts
from .errors import AnalysisFailed
from .insights import Insight
from .metrics import ANALYSIS_TOKENS
from .settings import Settings
from .transcripts import Transcript

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam

log = structlog.get_logger(__name__)

_OBJECT = re.compile(r"\{.*\}", re.DOTALL)  # models like to wrap it into ``` or a sentence
_ANSWER_KEPT = 4000  # characters of a wrong answer that the model sees again


@dataclass(frozen=True, slots=True)
class Extracted:
    """An insight, the model that says it made it, and the number of parts that the transcript was read in."""

    insight: Insight
    model: str
    parts: int


class ModelUnavailable(Exception):
    """The language model did not answer this time; a later try may help."""


class Extractor:
    """Asks a server that speaks OpenAI's chat completions."""

    def __init__(self, settings: Settings) -> None:
        """Nothing connects yet; the settings must have a key."""
        # A second of import and much memory that an installation without a key need not spend.
        import openai  # noqa: PLC0415 - see above

        assert settings.openai_api_key is not None
        self._openai = openai
        self._settings = settings
        # The only client that heeds HTTP_PROXY and its relatives: a language model is in the outside world.
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
        """Describe a transcript, in parts and then together if it is long.

        Raises AnalysisFailed when trying again cannot help, ModelUnavailable when it can.
        """
        budget, language = self._settings.openai_input_tokens, transcript.text_language
        texts = parts.cut(transcript, budget, self._settings.openai_max_parts)
        insights: list[Insight] = []
        for number, text in enumerate(texts, 1):
            messages = prompts.describe(text, language, number=number, count=len(texts))
            insight, model = await self._ask(messages)
            insights.append(insight)
            log.info("transcript part read by the language model", part=number, parts=len(texts))
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
        """One question; an answer of the wrong form gets one chance to be corrected."""
        answer, model = await self._complete(messages)
        try:
            return _insight(answer), model
        except ValidationError as error:
            problem = _problem(error)
            log.warning("the language model's answer has the wrong form", problem=problem)
        answer, model = await self._complete(prompts.repair(messages, answer[:_ANSWER_KEPT], problem))
        try:
            return _insight(answer), model
        except ValidationError as error:
            raise AnalysisFailed(
                "answer_not_usable", f"The language model answered twice in a wrong form ({_problem(error)})."
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
            raise ModelUnavailable(_said(error)) from error
        except openai.APIStatusError as error:
            raise AnalysisFailed(
                "request_not_accepted",
                f"The language model's server does not accept the request (status {error.status_code}).",
            ) from error
        except (openai.OpenAIError, ValueError) as error:  # an answer that is no chat completion, or no JSON
            raise ModelUnavailable(_said(error)) from error
        # The client checks nothing: servers that only resemble OpenAI's answer with pages and error documents, too.
        if not isinstance(completion, openai.types.chat.ChatCompletion) or not completion.choices:
            raise ModelUnavailable("the answer is no chat completion")
        if completion.usage is not None:
            ANALYSIS_TOKENS.labels("input").inc(completion.usage.prompt_tokens or 0)
            ANALYSIS_TOKENS.labels("output").inc(completion.usage.completion_tokens or 0)
        choice = completion.choices[0]
        if choice.message.refusal or choice.finish_reason == "content_filter":
            raise AnalysisFailed("analysis_refused", "The language model refuses to describe this transcript.")
        return choice.message.content or "", completion.model or self._settings.openai_model


def _insight(answer: str) -> Insight:
    answer = answer.replace("\\u0000", "")  # a character that PostgreSQL does not store
    found = _OBJECT.search(answer)
    return Insight.model_validate_json(found.group() if found else answer)


def _problem(error: ValidationError) -> str:
    """Where an answer is wrong; never what it says there, which may be somebody's speech."""
    places = {".".join(map(str, issue["loc"])) or "the whole": issue["type"] for issue in error.errors()}
    return ", ".join(f"{place}: {kind}" for place, kind in sorted(places.items())[:5])


def _said(error: Exception) -> str:
    """What a log or a reason may say about an error: bodies of answers may quote the transcript."""
    status = getattr(error, "status_code", None)
    return f"{type(error).__name__}, status {status}" if status else type(error).__name__
