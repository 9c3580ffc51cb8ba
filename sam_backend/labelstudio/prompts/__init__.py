"""What an annotator asks for: clicks, boxes and strokes as prompts of one object."""
