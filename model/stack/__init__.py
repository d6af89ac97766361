"""What a stack is: grid, sensors, product readers, manifest, window reading, gap filling, indices."""
