"""What `sam-backend demo` sets up: a Label Studio of its own, and pictures to try."""
