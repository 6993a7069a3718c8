"""The book:  python -m sphinx -W notebooks build/book  (offline; `pip install '.[docs]'`).

Sphinx with MyST-NB: notebooks are pages as they are, with the outputs that are committed and that the tests compute
again, and every other page is Markdown that GitHub shows too.  Jupyter Book is the same with a command on top; MkDocs
has no reference from docstrings without a plugin and no notebooks; nbsphinx needs pandoc.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from _book.evidence import linkcode_resolve  # noqa: E402, F401

import nashlab  # noqa: E402

project = "nashlab"
author = "The nashlab maintainers"
copyright = "the nashlab maintainers, Apache-2.0"
release = version = nashlab.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.linkcode", "_book.mathml", "_book.theory", "_book.reference"]
exclude_patterns = ["_book", "_build", "**/.ipynb_checkpoints"]
nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3

autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
# what only the bridge's own machinery needs: the book is built without it, in a quarter of the time
autodoc_mock_imports = ["torch", "transformers", "accelerate", "peft", "datasets", "safetensors", "ray"]
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"nashlab {release}"
html_math_renderer = "mathml"
html_static_path = ["_book/static"]
html_css_files = ["book.css"]
html_show_sourcelink = html_show_sphinx = False
