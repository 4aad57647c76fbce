"""Server of the page, which runs on this machine and serves nothing else."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from ..reading import WordReader
from .address import check_address

MAX_FILE_SIZE = 10 * 2**20
"""Maximum size of an upload in bytes."""


@contextmanager
def serve(reader: WordReader, *, host: str = "127.0.0.1", port: int | None = None) -> Iterator[str]:
    """Serve the page within the context.

    Nothing is fetched from or sent to other servers, and no files are served but the page's own
    and those uploaded to it. Uploads are stored in a folder that only this page uses, and that is
    deleted at the end. Environment variables that Gradio reads are set in this process, and stay.

    Args:
        reader: Reader of the images; must keep the attention.
        host: Address to listen on; the default is reachable only from this machine.
        port: Port; by default the first free one from 7860.

    Yields:
        The page's address.

    Raises:
        ModuleNotFoundError: If Gradio is not installed.
        OSError: If the port is taken, or the address is not one of this machine.
    """
    check_address(host, port)
    with tempfile.TemporaryDirectory(prefix="lpv-demo-") as folder:
        uploads = os.path.realpath(folder)
        os.environ["GRADIO_TEMP_DIR"] = uploads
        # Read on import, by Gradio or by libraries that it depends on.
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
        try:
            import gradio  # noqa: F401
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f"the page needs Gradio, but {error.name} is missing: pip install 'lpv-mmocr[demo]'"
            ) from error
        from starlette.middleware import Middleware

        from .local_only import LocalOnly, no_downloads
        from .page import THEME, build_page

        _leave_out_proxies_for(host)
        page = build_page(reader, uploads)
        page.queue(max_size=32)
        with no_downloads():
            _, address, _ = page.launch(
                server_name=f"[{host}]" if ":" in host else host,  # IPv6, as in a URL
                server_port=port,
                share=False,
                prevent_thread_lock=True,
                quiet=True,
                max_file_size=MAX_FILE_SIZE,
                theme=THEME,
                footer_links=[],
                run_history=False,
                enable_monitoring=False,
                ssr_mode=False,
                pwa=False,
                mcp_server=False,
                app_kwargs={"middleware": [Middleware(LocalOnly)]},
            )
            try:
                yield address
            finally:
                page.close(verbose=False)


def _leave_out_proxies_for(host: str) -> None:
    """Exclude Gradio's own server, which it queries on start-up, from the user's proxy."""
    for name in ("NO_PROXY", "no_proxy"):
        known = [item for item in os.environ.get(name, "").split(",") if item]
        needed = [item for item in ("127.0.0.1", "localhost", host) if item not in known]
        os.environ[name] = ",".join([*known, *dict.fromkeys(needed)])
