"""The three stages: assisted, semi-automatic and fully automatic."""
