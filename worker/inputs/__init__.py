"""What an attempt needs on this machine: a scratch folder, a dataset, pretrained weights, files of a hub."""
