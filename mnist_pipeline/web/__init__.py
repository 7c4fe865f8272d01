"""The page and the HTTP interface: draw a digit, ask for images by HTTP, watch runs, look at versions.

Nothing here needs TensorFlow or Prefect. What answers is the very code of `score`, in worker processes.
"""
