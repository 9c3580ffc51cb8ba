"""What is known of projects at this moment: measured, put together, watched."""
