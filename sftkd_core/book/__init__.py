"""What the chapters share: their five parameters, the plan of experiments, comparisons, plots."""

from sftkd_core.book import comparisons, paper, parameters, plots, report, timing
from sftkd_core.book.setting import Setting, numbers

__all__ = ["Setting", "comparisons", "numbers", "paper", "parameters", "plots", "report", "timing"]
