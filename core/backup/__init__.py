"""What an operator runs around a backup: copy the objects, verify a restored installation, fill an empty MLflow."""
