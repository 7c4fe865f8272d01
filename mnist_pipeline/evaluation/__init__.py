"""What a model is worth: its answers to the test images, measured."""
