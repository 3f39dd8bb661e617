"""The `liftlake` command: one module per noun, no logic of its own."""
