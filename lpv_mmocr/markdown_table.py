"""Tables in Markdown that can be read in a terminal as well."""

from __future__ import annotations

from collections.abc import Container, Sequence


def markdown_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], left: Container[str]
) -> list[str]:
    """Write a table whose columns are padded to one width each.

    Args:
        header: Titles of the columns.
        rows: As many cells each. A ``|`` in one of them does not end it.
        left: Titles of the columns of text; the others hold numbers, which are set to the right.

    Returns:
        Lines without their ends.

    Raises:
        ValueError: If a row has another number of cells than the header.
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
