"""Tests that links and file names in the README and the docs exist."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from documented_code import DOCUMENTS, ROOT, tokens
from markdown_it.token import Token

FOLDERS = ("checkpoints", "configs", "docs", "lpv_mmocr", "requirements", "tests", "tools")
"""Inline code that starts with one of these is the name of a file in the checkout."""
OF_MMOCR = re.compile(r"tests/test_\w+(/|$)")
"""Folders of MMOCR's tests; here, only files have such names."""


def anchors(file: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a document."""
    parsed = tokens(file)
    headings = [after for token, after in pairwise(parsed) if token.type == "heading_open"]
    texts = [re.sub(r"[^\w\- ]", "", heading.content.lower()) for heading in headings]
    return {text.replace(" ", "-") for text in texts}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_link_targets_exist(document):
    file = ROOT / document
    for token in tokens(file):
        address = str(token.attrGet("href") or token.attrGet("src") or "")
        if not address or re.match(r"[a-z]+:", address):
            continue
        path, _, anchor = address.partition("#")
        target = (file.parent / path) if path else file
        assert target.exists(), f"{document} links to {address}"
        assert not anchor or anchor in anchors(target), f"{address} of {document}: no such heading"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_named_files_exist(document):
    names = [token.content.split()[0] for token in tokens(ROOT / document) if is_file_name(token)]
    for name in names:
        pattern = re.sub(r"\{[^}]*\}", "*", name)
        assert any(ROOT.glob(pattern)), f"{document} names {name}"


def is_file_name(token: Token) -> bool:
    return (
        token.type == "code_inline"
        and token.content.startswith(tuple(f"{folder}/" for folder in FOLDERS))
        and not OF_MMOCR.match(token.content)
    )


def test_docs_have_links_and_anchors():
    # If they were not found, nothing above would be tested.
    assert "is-it-really-lpv" in anchors(ROOT / "README.md")
    links = [token for token in tokens(ROOT / "README.md") if token.attrGet("href")]
    assert len(links) > 30
