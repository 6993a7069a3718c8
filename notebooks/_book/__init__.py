"""The book's own extensions of Sphinx: mathematics without scripts, the theory's pages, docstrings as pages."""
