"""Speed, start-up, memory and price of models on this machine."""
