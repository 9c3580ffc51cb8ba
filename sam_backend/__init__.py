"""The SAM data engine as a Label Studio ML backend."""
