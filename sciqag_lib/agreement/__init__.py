"""How far scores agree: experts with each other, judges with experts, one prompt or model with another."""
