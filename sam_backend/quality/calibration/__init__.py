"""From scores to probabilities that people's judgements bear out, and thresholds proven on them."""
