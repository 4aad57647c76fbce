"""Detection of text that cannot be set character by character, from left to right."""

from __future__ import annotations

import unicodedata

_SHAPED_SCRIPTS = """
    AHOM BALINESE BATAK BENGALI BHAIKSUKI BRAHMI BUGINESE BUHID CHAKMA CHAM DEVANAGARI DIVES DOGRA
    GRANTHA GUJARATI GUNJALA GURMUKHI HANUNOO JAVANESE KAITHI KANNADA KAYAH KHAROSHTHI KHMER KHOJKI
    KHUDAWADI LEPCHA LIMBU MAHAJANI MAKASAR MALAYALAM MARCHEN MASARAM MEETEI MODI MONGOLIAN MULTANI
    MYANMAR NANDINAGARI NEWA ORIYA PHAGS-PA REJANG SAURASHTRA SHARADA SIDDHAM SINHALA SOYOMBO
    SUNDANESE SYLOTI TAGALOG TAGBANWA TAI TAKRI TAMIL TELUGU TIBETAN TIRHUTA ZANABAZAR
"""
"""First words of the Unicode names of scripts whose letters join, stack or change places."""

_SHAPED = frozenset(_SHAPED_SCRIPTS.split())


def layout_fault(text: str) -> str | None:
    """Return why a text needs a layout engine to look right, or None.

    Args:
        text: Text in Unicode normal form C, where an accented letter is one character.

    Returns:
        The first character that needs a layout engine and the reason, for an error message; None
        for text that needs none.
    """
    if text.isascii():
        return None
    for char in text:
        name = unicodedata.name(char, f"U+{ord(char):04X}")
        script = name.split()[0]
        if unicodedata.bidirectional(char) in ("R", "AL"):
            return f"{char!r} ({name}): {script.title()} is written from right to left"
        category = unicodedata.category(char)[0]
        if category in "LM" and script in _SHAPED:
            return f"{char!r} ({name}): letters of {script.title()} join or change places"
        if category == "M":
            return f"{char!r} ({name}): a mark that is set over or under another character"
    return None
