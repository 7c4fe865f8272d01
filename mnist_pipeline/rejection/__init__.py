"""When an answer is "no digit": what negatives are made of, the limits of an answer, and the rule."""
