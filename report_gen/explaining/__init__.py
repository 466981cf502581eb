"""Explain drafts: where in an image the model found what it reports."""

from report_gen.explaining.attention import attention_heatmap

__all__ = ["attention_heatmap"]
