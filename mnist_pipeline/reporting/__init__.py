"""Everything that people look at: reports in HTML and Markdown, plots, comparisons."""
