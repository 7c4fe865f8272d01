"""From the bytes of an image file to a grey plane, and from there to the 28x28 pixels that the model takes."""
