"""Statistics of LMDBs as text for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest

from rich import box, filesize
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..visible_text import single
from .lmdb_statistics import PERCENTILES, LMDBStatistics

LONGEST = 26  # labels of this length and longer ones share a bar
LISTED_BAD = 20
_BARS = {106: 16, 0: 7}  # length of the longest bar in characters, by minimum console width


def print_overview(parts: Sequence[LMDBStatistics], console: Console) -> None:
    """Print a table with one row per LMDB.

    Args:
        parts: Statistics of each LMDB, followed by those of all together.
        console: Console to print to.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("LMDB", overflow="fold")
    for name in ("samples", "pass filter", "bad", "on disk", "median"):
        table.add_column(name, justify="right", no_wrap=True)
    for place, part in enumerate(parts):
        sizes = part.percentiles()
        middle = PERCENTILES.index(50)
        table.add_row(
            Text(part.name),
            f"{part.samples:,}",
            f"{part.passing:,}",
            Text(f"{part.bad_count:,}", style="bold red" if part.bad_count else ""),
            filesize.decimal(part.file_bytes),
            f"{sizes['width'][middle]:.0f} x {sizes['height'][middle]:.0f}" if sizes else "-",
            end_section=place == len(parts) - 2,
        )
    console.print(table)


def print_details(found: LMDBStatistics, console: Console) -> None:
    """Print all statistics of one LMDB, or of all together.

    Args:
        found: Statistics to print.
        console: Console to print to.
    """
    console.print(Text(found.name, style="bold"))
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="cyan", no_wrap=True)
    facts.add_column()
    for name, value in _facts(found):
        facts.add_row(f"  {name}", value)
    console.print(facts)
    console.print()
    if found.widths:
        console.print(_size_table(found))
    bar = next(bar for width, bar in _BARS.items() if console.width >= width)
    console.print(_histograms(found, bar))
    console.print(f"  {_kinds(found.characters)}", soft_wrap=True)
    print_bad(found, console)


def print_bad(found: LMDBStatistics, console: Console) -> None:
    """Print the samples that cannot be used, if there are any.

    Args:
        found: Statistics to print.
        console: Console to print to.
    """
    if not found.bad_count:
        return
    console.print(Text(f"\n{found.bad_count:,} bad samples", style="bold red"))
    for key, reason in found.bad[:LISTED_BAD]:
        console.print(Text(f"  {key}: {reason}"), soft_wrap=True)
    if found.bad_count > LISTED_BAD:
        console.print(f"  and {found.bad_count - LISTED_BAD:,} more; --json FILE lists them")


def _facts(found: LMDBStatistics) -> list[tuple[str, str]]:
    share = 100 * found.passing / max(found.samples, 1)
    labels = f"{found.passing:,} ({share:.2f} %) pass the released filter"
    if found.shortened:
        labels += f"; of these, {found.shortened:,} lose characters and {found.emptied:,} lose all"
    if found.edge_blanks:
        labels += f"; {found.edge_blanks:,} begin or end with white space"
    if found.decomposed:
        labels += f"; {found.decomposed:,} store accents apart from their letters (not NFC)"
    how = "decoded" if found.decoded else "by their headers, not decoded"
    if found.examined == found.samples:
        which = f"all {how}"
    else:
        which = f"{found.examined:,} chosen at random, {how}; the others were not examined"
    formats = ", ".join(f"{name} {count:,}" for name, count in found.formats.most_common())
    mean = filesize.decimal(found.image_bytes // max(found.examined, 1))
    return [
        ("samples", f"{found.samples:,}"),
        ("labels", labels),
        ("images", which),
        ("formats", f"{formats or 'none'}; {mean} each"),
        ("on disk", filesize.decimal(found.file_bytes)),
        ("bad", f"{found.bad_count:,}" if found.bad_count else "none found"),
    ]


def _size_table(found: LMDBStatistics) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("  pixels", style="cyan", no_wrap=True)
    names = {0: "min", 50: "median", 100: "max"}
    for percentile in PERCENTILES:
        table.add_column(names.get(percentile, f"{percentile} %"), justify="right")
    for name, values in found.percentiles().items():
        digits = 2 if name == "aspect_ratio" else 0
        shown = "width / height" if name == "aspect_ratio" else name
        table.add_row(f"  {shown}", *(f"{value:,.{digits}f}" for value in values))
    return table


def _histograms(found: LMDBStatistics, width: int) -> Table:
    """Return a table of label lengths next to as many of the most frequent characters as fit."""
    lengths = Counter()
    for length, count in found.lengths.items():
        lengths[min(length, LONGEST)] += count
    last = max(lengths, default=0)
    rows = [(f"{n}+" if n == LONGEST else str(n), lengths[n]) for n in range(last + 1)]
    if not lengths[0]:
        rows = rows[1:]
    # At least ten rows of characters, even if all words are short.
    height = max(len(rows), 10)
    most = found.characters.most_common(2 * height)
    characters = [(single(character), count) for character, count in most]
    columns = [rows, characters[:height], characters[height:]]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for title in ("  length", "char", "char"):
        table.add_column(title, style="cyan", justify="right", no_wrap=True)
        table.add_column("", no_wrap=True, min_width=width)
        table.add_column("count", justify="right", no_wrap=True)
    tops = [max((count for _, count in part), default=0) for part in (rows, most, most)]
    for cells in zip_longest(*columns):
        line: list[str | Text] = []
        for cell, top in zip(cells, tops, strict=True):
            name, count = cell or ("", None)
            bar = "" if count is None else _bar(count, top, width)
            line += [Text(name), bar, "" if count is None else f"{count:,}"]
        table.add_row(*line)
    return table


def _bar(count: int, top: int, width: int) -> str:
    """Return a bar proportional to ``count / top``, in steps of an eighth of a character."""
    eighths = round(count / top * width * 8) if top else 0
    if count:
        eighths = max(eighths, 1)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def _kinds(characters: Counter[str]) -> str:
    """Return the number of different characters and the proportion of each kind, as text."""
    kinds = Counter()
    for character, count in characters.items():
        kinds[_kind(character)] += count
    total = sum(kinds.values())
    shares = ", ".join(f"{kind} {_share(kinds[kind] / total)}" for kind in sorted(kinds))
    return f"{len(characters):,} different characters: {shares or 'none'}"


def _share(part: float) -> str:
    return "< 0.1 %" if part < 0.001 else f"{100 * part:.1f} %"


def _kind(character: str) -> str:
    if not character.isascii():
        return "beyond ASCII"
    if character.isdigit():
        return "0-9"
    if character.isalpha():
        return "a-z" if character.islower() else "A-Z"
    return "white space" if character.isspace() else "punctuation"
