"""A Label Studio project as the backend sees it: its tasks, images and annotated data set."""
