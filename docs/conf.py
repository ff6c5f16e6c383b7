"""How the documentation is built, by `make docs`: without a network, and a warning or a failing cell ends it."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE / "_ext"), *(str(ROOT / name) for name in (".", "backends", "benchmarks"))]

import gradest  # noqa: E402  # from this checkout, whichever is installed

project = "gradest"
author = "the gradest authors"
project_copyright = "2026, the gradest authors"
version = release = gradest.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "mathml",
    "myst_nb",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "generated_pages",
    "plain_docstrings",
]
templates_path = ["_templates"]

html_theme = "furo"
html_title = f"gradest {version}"
html_extra_path = ["reference-report.html"]
html_favicon = "_static/nabla.svg"
html_static_path = ["_static"]
html_css_files = ["gradest.css"]
html_theme_options = {"sidebar_hide_name": False}

html_math_renderer = "mathml"

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
# CHANGELOG links as it stands in the repository; a field that several classes have is one word with several places.
suppress_warnings = ["myst.xref_missing", "ref.python"]

# Every cell is executed anew at each build, and one that raises ends it.
nb_execution_mode = "force"
nb_execution_timeout = 600  # a busy machine is no failure
nb_execution_raise_on_error = True
nb_merge_streams = True

# Lessons and figures: scripts that run as they stand, and at each build. Each is written as a page and as a notebook to
# be downloaded; the latter is no page.
exclude_patterns = [
    "results/**",
    "generated/backends.md",  # these are parts of other pages
    "generated/choose-first.md",
    "generated/choose-table.md",
    "generated/**/*.ipynb",
    "generated/**/GALLERY_HEADER.rst",
    "**/sg_execution_times.rst",  # it asks other machines for scripts
    "sg_execution_times.rst",
]
sphinx_gallery_conf = {
    "examples_dirs": ["../examples/lessons", "../examples/figures"],
    "gallery_dirs": ["generated/lessons", "generated/figures"],
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "run_stale_examples": True,
    "min_reported_time": 0,
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_signature": False,
    "show_memory": False,
    # Two at a time, each in a process of its own: a script leaves nothing behind for the next.
    "parallel": 2,
}

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # they stand in the signature; numpydoc's sections say what they mean
autosummary_generate = ["generated/reference.rst"]
napoleon_google_docstring = False
napoleon_use_ivar = True
