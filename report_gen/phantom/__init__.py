"""Schematic chest radiographs, drawn by code: single images, DICOM files and a corpus."""

from report_gen.phantom.corpus import write_phantom_corpus
from report_gen.phantom.dicom import WHITE, draw_chest, write_phantom, write_png

__all__ = ["WHITE", "draw_chest", "write_phantom", "write_phantom_corpus", "write_png"]
