"""To see how a run goes: curves, sample drafts, TensorBoard, and a rehearsal before it starts."""
