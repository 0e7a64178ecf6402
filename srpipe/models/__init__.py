"""Networks: the generators, the discriminator, the ImageNet networks of the content loss."""
