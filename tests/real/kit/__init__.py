"""What the checks are written with: processes, a misbehaving upstream, clients, and agents written by hand."""
