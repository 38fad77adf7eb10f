"""From prompts to candidates: the predictor and what it speaks."""
