"""A one-class detector of objects, whose boxes prompt SAM (paper, section 4, semi-automatic)."""
