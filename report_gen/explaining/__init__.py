"""Explain drafts: the regions of an image in which the model found its findings."""

from report_gen.explaining.attention import attention_heatmap, finding_attention

__all__ = ["attention_heatmap", "finding_attention"]
