"""Back-translation by a language model behind an OpenAI-compatible chat endpoint."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from shared.errors import PermanentError, TransientError

TOO_MANY_REQUESTS = 429
SERVER_ERRORS = 500


class TranslationUnavailable(TransientError):
    """The endpoint does not answer, or asks to come back later."""


class TranslationRefused(PermanentError):
    """The endpoint refuses the request, or its answer is no translation."""


class ChatEndpoint(BaseModel):
    """Where and how to translate.

    Attributes:
        base_url: Up to and with the version, e.g. `http://127.0.0.1:8000/v1`.
        model: The model's name there.
        api_key: Sent as a bearer token; None: no authentication.
        language, pivot: Names of the texts' language and the other one, as the model understands them.
        max_concurrent: Requests at a time.
        timeout_s: For one text.
    """

    model_config = ConfigDict(frozen=True)

    base_url: str
    model: str
    api_key: SecretStr | None = None
    language: str = "Chinese"
    pivot: str = "English"
    max_concurrent: int = Field(default=4, ge=1, le=64)
    timeout_s: float = Field(default=60, gt=0)


class ChatBackTranslation:
    """Translates one text a request, several requests at a time, without sampling."""

    def __init__(self, endpoint: ChatEndpoint, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """Prepare a client; use it as an asynchronous context.

        Args:
            endpoint: Where to translate.
            transport: How to reach it; default: over the network.
        """
        self._endpoint = endpoint
        self._places = asyncio.Semaphore(endpoint.max_concurrent)
        key = endpoint.api_key
        self._client = httpx.AsyncClient(
            base_url=endpoint.base_url.rstrip("/") + "/",
            headers={"Authorization": f"Bearer {key.get_secret_value()}"} if key else {},
            timeout=endpoint.timeout_s,
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        """Return the translation itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def there(self, texts: Sequence[str]) -> list[str]:
        """Return the texts in the pivot language.

        Raises:
            TranslationUnavailable: Try again later.
            TranslationRefused: The endpoint will not take one of the texts.
        """
        return await self._translate(texts, self._endpoint.language, self._endpoint.pivot)

    async def back(self, texts: Sequence[str]) -> list[str]:
        """Return texts of the pivot language in their first language; raises as `there`."""
        return await self._translate(texts, self._endpoint.pivot, self._endpoint.language)

    async def _translate(self, texts: Sequence[str], source: str, target: str) -> list[str]:
        # A group ends the others' requests when one fails: nobody waits for translations that nobody takes.
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._one(text, source, target)) for text in texts]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures
        return [task.result() for task in tasks]

    async def _one(self, text: str, source: str, target: str) -> str:
        instruction = (
            f"Translate the user's text from {source} to {target}. Keep numbers, negations and legal and medical terms exact. "
            "Answer with the translation only."
        )
        messages = [{"role": "system", "content": instruction}, {"role": "user", "content": text}]
        body = {"model": self._endpoint.model, "messages": messages, "temperature": 0}
        async with self._places:
            try:
                response = await self._client.post("chat/completions", json=body)
            except httpx.TransportError as error:
                msg = f"the translation endpoint cannot be reached: {type(error).__name__}"
                raise TranslationUnavailable(msg, next_step="see that it runs at the configured address") from error
        return _translation(response)


def _translation(response: httpx.Response) -> str:
    if response.status_code == TOO_MANY_REQUESTS or response.status_code >= SERVER_ERRORS:
        msg = f"the translation endpoint answers {response.status_code}"
        raise TranslationUnavailable(msg, next_step="try again later, or lower max_concurrent")
    if not response.is_success:
        msg = f"the translation endpoint answers {response.status_code}"
        raise TranslationRefused(msg, next_step="check its address, model and key")
    try:
        content: Any = response.json()["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError) as error:
        msg = "the answer of the translation endpoint is no chat completion"
        raise TranslationRefused(msg, next_step="check that the address is OpenAI-compatible") from error
    if not isinstance(content, str) or not content.strip():
        msg = "the translation endpoint answers without a text"
        raise TranslationRefused(msg, next_step="check that the model can translate")
    return content.strip()
