"""Stage 2, semi-automatic: tasks arrive prefilled, people complete them (paper, section 4)."""
