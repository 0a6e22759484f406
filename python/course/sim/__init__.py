"""`./course sim FILE.cu`: a CUDA program on the simulator, and what a GPU would have suffered."""
