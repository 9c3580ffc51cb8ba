"""What runs beside requests: the queue's worker, its handlers, triggers and schedules."""
