"""Markdown tables that are also readable in a terminal."""

from __future__ import annotations

from collections.abc import Container, Sequence


def markdown_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], left: Container[str]
) -> list[str]:
    """Format a table whose columns are padded to a uniform width.

    Args:
        header: Column titles.
        rows: Rows with one cell per column; a ``|`` in a cell is escaped.
        left: Titles of text columns, which are left-aligned; the others hold numbers and are
            right-aligned.

    Returns:
        Lines without line ends.

    Raises:
        ValueError: If a row and the header differ in their number of cells.
    """
    rows = [[cell.replace("|", r"\|") for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.ljust(width) if title in left else cell.rjust(width)
            for cell, width, title in zip(cells, widths, header, strict=True)
        )
        return f"| {' | '.join(padded)} |"

    rule = [
        "-" * (width - 1) + ("-" if title in left else ":")
        for width, title in zip(widths, header, strict=True)
    ]
    return [line(header), line(rule), *map(line, rows)]
