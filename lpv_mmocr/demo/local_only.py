"""Restrictions that keep the page from serving as a proxy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote

from gradio import Error, processing_utils
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_FORWARDING = re.compile(r"/(file[=/]https?:|proxy=)", re.IGNORECASE)


class LocalOnly:
    """ASGI middleware that blocks Gradio's requests to other servers.

    Under ``file=https://…``, ``file/https://…`` and ``proxy=…``, Gradio fetches an address and
    serves its content. The page does not need this, and its visitors must not use this machine as
    a proxy.

    Args:
        app: The wrapped application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond with 403 to a request that would be forwarded."""
        if _FORWARDING.search(unquote(scope.get("path", ""))):
            await PlainTextResponse("not on this page", 403)(scope, receive, send)
            return
        await self.app(scope, receive, send)


@contextmanager
def no_downloads() -> Iterator[None]:
    """Keep Gradio from downloading, in this process, URLs that visitors pass as uploaded files.

    It would store them without a size limit, and serve their content as that of an upload.
    """
    download = processing_utils.async_ssrf_protected_download
    processing_utils.async_ssrf_protected_download = _refuse
    try:
        yield
    finally:
        processing_utils.async_ssrf_protected_download = download


async def _refuse(url: str, cache_dir: str) -> str:
    raise Error("this page does not download files")
