"""Predictions of an exported model: bytes of images in, boxes or classes out, without the framework it was trained in.

Needs numpy, Pillow and an engine (onnxruntime or openvino); OpenCV, where it is installed, only makes it faster.
"""
