"""Networks: the generators, the discriminators, the ImageNet networks of the content loss."""
