"""Who labels which tasks: queues filled, balanced and taken back."""
