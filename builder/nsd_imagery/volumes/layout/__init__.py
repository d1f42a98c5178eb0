"""Where a beta file of HDF5 has the chunk of each voxel, told from a few of its bytes."""
