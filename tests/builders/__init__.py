"""What tests are made of: datasets, hostile files, database rows, training children."""
