"""The pictures side by side: a component of our own, without anything from elsewhere."""
