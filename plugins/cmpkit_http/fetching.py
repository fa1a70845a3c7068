"""Documents and answers that are no CMP, over HTTP: revocation lists, OCSP."""

from __future__ import annotations

import anyio
import httpx

from cmpkit.errors import ConfigurationError, TransportError
from cmpkit.parts import Question, TransportOptions
from cmpkit_http.client import open_client, post, read_body, shown_url
from cmpkit_http.failures import transport_errors
from cmpkit_http.media import media_type

__all__ = ["fetch"]


async def fetch(url: str, options: TransportOptions, question: Question | None = None) -> bytes:
    """The document at a URL, or the answer to a question that is posted there. Redirections are not followed.

    :raises ConfigurationError: if the URL or an option cannot be used.
    :raises TransportError: if nothing comes back, something else, or too much.
    """
    address = _read_url(url)
    shown = shown_url(address)
    async with open_client(address, options) as client:
        request = _request(client, address, question)
        with transport_errors(shown, options.timeout), anyio.fail_after(options.timeout):
            response = await client.send(request, stream=True)
            try:
                body = await read_body(response, options.max_response_size)
            finally:
                with anyio.CancelScope(shield=True):
                    await response.aclose()
    if response.status_code != 200:
        raise TransportError(
            f"{shown} answered HTTP {response.status_code}",
            hint="correct the address",
            retryable=response.status_code in (429, 502, 503, 504),
        )
    if len(body) > options.max_response_size:
        raise TransportError(f"{shown} has more than {options.max_response_size} octets")
    kind = media_type(response.headers.get("content-type", ""))
    if question is not None and kind != question.answered_by:
        raise TransportError(f"{shown} answered with {kind or 'no media type'}, not {question.answered_by}")
    return body


def _read_url(url: str) -> httpx.URL:
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"unusable URL: {error}", hint="write http://HOST[:PORT]/PATH") from error
    if not address.host:
        raise ConfigurationError("unusable URL: it names no host", hint="write http://HOST[:PORT]/PATH")
    return address


def _request(client: httpx.AsyncClient, address: httpx.URL, question: Question | None) -> httpx.Request:
    if question is not None:
        headers = {"content-type": question.media_type, "accept": question.answered_by}
        return post(client, address, question.content, headers)
    request = client.build_request("GET", address, headers={"accept": "*/*"})
    # The client is made for messages.
    del request.headers["content-type"]
    return request
