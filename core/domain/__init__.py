"""Plain values and rules without I/O: errors, states, findings, ids, object keys, limits."""
