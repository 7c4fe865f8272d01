"""What a model is worth: metrics, the gate, and the reports."""
