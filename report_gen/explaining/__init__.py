"""Explain drafts: the regions of an image in which the model found its findings."""

from report_gen.explaining.attention import attention_heatmap

__all__ = ["attention_heatmap"]
