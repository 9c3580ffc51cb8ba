"""The HTTP server that Label Studio talks to."""
