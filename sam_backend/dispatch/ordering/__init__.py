"""What people should see next, and what is under-represented."""
