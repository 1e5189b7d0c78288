"""Drawing from, counting and searching the architectures that satisfy constraints: bounds first, then exact costs."""
