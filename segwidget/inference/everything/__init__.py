"""Everything mode: one grid of points, all masks ("Segment Anything", section 5 and appendix B)."""

from segwidget.inference.everything.generate import Progress, Proposal, propose
from segwidget.inference.everything.settings import EverythingSettings

__all__ = ["EverythingSettings", "Progress", "Proposal", "propose"]
