"""Networks in Keras, and their training."""
