"""Objects: segmentation of images, polygons of maps."""
