"""What people are told of the farm: questions to the engine's state, values out. Pure."""
