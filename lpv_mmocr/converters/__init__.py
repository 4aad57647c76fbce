"""State dicts turned into those of another model: the authors', and smaller ones."""
