"""The cache node, its client and its proxy. Reading order: ARCHITECTURE.md."""

from ringkeeper import _compiled

__version__ = "0.1.0"

_compiled.choose_forms()
