"""A project's labelling configuration: its tags, labels and templates."""
