"""What a document becomes: the ground, the text knowledge, the kernels and the Beam stages."""
