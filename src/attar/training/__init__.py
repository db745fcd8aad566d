"""The only training loop, its schedules and its resumable state."""
