"""Student-friendly knowledge distillation for MRI reconstruction: the core of the book.

The data flow one way: ``data`` (slices) -> ``masks`` -> ``consistency.measure`` -> ``models`` ->
image -> ``metrics`` -> ``experiments.Result``.
"""

__version__ = "0.1.0"
