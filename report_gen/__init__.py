"""report-gen drafts radiology reports from medical images. Every output is a draft for a qualified reader."""

from importlib.metadata import version

__version__ = version("report-gen")
