"""Everything mode: one grid of points, all masks ("Segment Anything", section 5 and appendix B)."""

from segwidget.inference.everything.generate import propose
from segwidget.inference.everything.proposal import Progress, Proposal, without_duplicates
from segwidget.inference.everything.settings import EverythingSettings

__all__ = ["EverythingSettings", "Progress", "Proposal", "propose", "without_duplicates"]
