"""The Gradio page, which shows what was read in an image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from ..reading import WordReader
from .answer import EXAMPLES, answer, unreadable
from .uploads import uploaded_file

# System fonts: no font is fetched from elsewhere or from here.
THEME = gr.themes.Default(font=("system-ui", "sans-serif"), font_mono=("ui-monospace", "monospace"))


def build_page(reader: WordReader, uploads: str | Path) -> gr.Blocks:
    """Build the page.

    Args:
        reader: Reader of the images; must keep the attention.
        uploads: The only folder from which images are read.

    Returns:
        The page, not yet served.
    """

    def read(upload: Any) -> tuple:
        try:
            file = uploaded_file(upload, uploads)
        except ValueError as error:
            said = unreadable(error)
        else:
            said = answer(reader, file)
        return (
            said.message and f"**{said.message}**",
            said.text,
            said.confidence,
            said.characters,
            said.attention,
        )

    # Every 10 minutes, uploads older than an hour are deleted.
    with gr.Blocks(title="LPV", analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gr.Markdown("# Read a word with LPV\nDrop an image of one word.")
        with gr.Row():
            with gr.Column(scale=2):
                image = gr.Image(
                    label="Image",
                    type="filepath",
                    sources=["upload", "clipboard"],
                    height=220,
                    elem_id="image",
                )
                gr.Examples([[str(file)] for file in sorted(EXAMPLES.glob("*.jpg"))], image)
            with gr.Column(scale=3):
                message = gr.Markdown(elem_id="message")
                with gr.Row():
                    text = gr.Textbox(label="Text", interactive=False, elem_id="text")
                    confidence = gr.Textbox(
                        label="Confidence",
                        interactive=False,
                        elem_id="confidence",
                    )
                characters = gr.Dataframe(
                    label="Characters",
                    headers=["", "character", "probability"],
                    interactive=False,
                    max_height=400,
                    elem_id="characters",
                )
        gr.Markdown("### Where each stage looked for each character")
        attention = gr.Image(
            show_label=False,
            format="png",
            interactive=False,
            buttons=["download", "fullscreen"],
            elem_id="attention",
        )
        image.change(
            read,
            image,
            [message, text, confidence, characters, attention],
            # By default, Gradio opens the file first: one that is not an image raises an error.
            preprocess=False,
            api_visibility="private",
        )
    return page
