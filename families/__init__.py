"""The models side by side: finished runs of all families on the same images, measured alike."""
