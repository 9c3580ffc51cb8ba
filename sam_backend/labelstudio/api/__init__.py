"""Label Studio's REST API: all that speaks HTTP to it."""
