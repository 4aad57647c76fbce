"""Conversion of state dicts: from the authors' models, and from smaller models to larger ones."""
