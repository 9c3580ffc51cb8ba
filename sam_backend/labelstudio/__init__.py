"""Label Studio's formats: label configuration, regions, prompts, images and its API."""
