"""Where traces, metrics, logs and the lifecycle events of the mesh are kept for people to look up; nothing decides by it."""
