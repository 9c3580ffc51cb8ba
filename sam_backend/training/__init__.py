"""Training of SAM networks on simulated annotation sessions."""
