"""What teams run. Owns: project, deployment, usage, limit."""
